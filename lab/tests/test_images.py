"""Images: the same bytes from the same files, upstream's names and settings, and a registry to pull them from."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import toolchain
from lab import oci
from lab.mirror import Registries, app
from lab.oci import TOOLS, Store, Stores
from lab.oci.testing import BUSYBOX, NGINX, Workshop
from lab.tests.archives import layer, layout, saved, tar
from lab.tests.test_mirror import served
from lab.tests.upstream_registry import Upstream
from model.images import COREDNS, PAUSE
from model.services.containerd import registry_hosts
from settings.schema import Images
from toolchain import PROGRAMS, Build
from toolchain.build_cache import digest

TAGS = {name: image.partition("@")[0].rpartition(":")[2] for name, image in (("pause", PAUSE), ("coredns", COREDNS))}


def built(folder: Path, program: str, mark: str = "") -> Build:
    """A build with a few readable bytes for each binary."""
    directory = folder / program
    directory.mkdir(parents=True, exist_ok=True)
    for name in PROGRAMS[program].binaries:
        (directory / name).write_text("2.66.1\n" if name == "VERSION" else f"{name}{mark}")
    return Build(
        program=program,
        version=PROGRAMS[program].versions[0],
        arch="amd64",
        directory=directory,
        sha256={name: digest(directory / name) for name in PROGRAMS[program].binaries},
        built_from="a test",
    )


def tools(folder: Path) -> Path:
    """A file system with one of everything."""
    root = folder / "tools"
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/share/doc").mkdir(parents=True)
    (root / "usr/share/doc/words").write_text("words")
    (root / "usr/bin/dash").write_text("dash")
    (root / "usr/bin/dash").chmod(0o755)
    (root / "usr/bin/sh").symlink_to("dash")
    (root / "bin").symlink_to("usr/bin")
    return root


def published(folder: Path, mark: str = "") -> Store:
    store = Stores.of(folder / "mirror").built
    programs = built(folder, "kubernetes-images", mark), built(folder, "coredns")
    root = folder / "tools" if (folder / "tools").exists() else tools(folder)
    oci.publish(store, kubernetes=programs[0], dns=programs[1], tools=root)
    return store


def manifest(store: Store, path: str, reference: str) -> dict[str, Any]:
    found = store.manifest(f"registry.k8s.io/{path}", reference)
    assert found
    return dict(json.loads(found.file.read_text()))


def config(store: Store, path: str, reference: str) -> dict[str, Any]:
    blob = store.blob(manifest(store, path, reference)["config"]["digest"])
    assert blob
    return dict(json.loads(blob.read_text()))


def members(store: Store, path: str, reference: str) -> dict[str, tarfile.TarInfo]:
    """All that the layers of an image have, from the first to the last."""
    found = {}
    for each in manifest(store, path, reference)["layers"]:
        blob = store.blob(each["digest"])
        assert blob
        with tarfile.open(blob) as tar:
            found.update({member.name: member for member in tar})
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store that is only read."""
    return published(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def client(store: Store) -> Iterator[httpx.Client]:
    with served(app(store.directory.parent)) as client:
        yield client


def test_images_go_by_upstreams_names_and_versions(store: Store) -> None:
    ours = oci.references(store)
    assert ours.keys() == Images.model_fields.keys()
    for name, theirs in (("pause", PAUSE), ("coredns", COREDNS)):
        assert ours[name].partition("@")[0] == theirs.partition("@")[0]
        assert ours[name] != theirs
    assert store.manifest("registry.k8s.io/e2e-test-images/agnhost", "2.66.1")


@pytest.mark.engine
def test_upstreams_tests_ask_for_the_images_that_are_made() -> None:
    build = toolchain.build("kubernetes-images")
    modules = subprocess.run(["go", "env", "GOMODCACHE"], capture_output=True, text=True, check=True).stdout.strip()
    wanted = (Path(modules) / f"k8s.io/kubernetes@v{build.version}/test/utils/image/manifest.go").read_text()
    assert f'"agnhost", "{build.path("VERSION").read_text().strip()}"' in wanted
    assert f'"pause", "{TAGS["pause"]}"' in wanted


def test_the_same_files_make_the_same_image_anywhere_at_any_time(tmp_path: Path) -> None:
    references = []
    for name, date in (("one", 1_000_000_000), ("two", 1_700_000_000)):
        folder = tmp_path / name
        for file in tools(folder).rglob("*"):
            os.utime(file, (date, date), follow_symlinks=False)
        store = published(folder)
        references.append(
            [*oci.references(store).values(), store.digest("registry.k8s.io/e2e-test-images/agnhost", "2.66.1")]
        )
    assert references[0] == references[1]


def test_a_changed_binary_is_a_new_image_and_the_old_one_stays(tmp_path: Path) -> None:
    store = published(tmp_path)
    before = oci.references(store)
    after = oci.references(published(tmp_path, mark=" rebuilt"))
    assert after["pause"] != before["pause"]
    assert after["coredns"] == before["coredns"]
    assert store.manifest("registry.k8s.io/pause", before["pause"].rpartition("@")[2])


def test_what_is_there_is_not_built_again_and_what_is_damaged_is(tmp_path: Path) -> None:
    store = published(tmp_path)
    blobs = {file: file.stat().st_ino for file in (store.directory / "blobs").iterdir()}
    references = oci.references(store)
    published(tmp_path)
    assert {file: file.stat().st_ino for file in (store.directory / "blobs").iterdir()} == blobs
    lost = store.blob(manifest(store, "pause", "3.10.2")["layers"][0]["digest"])
    assert lost
    lost.unlink()
    published(tmp_path)
    assert oci.references(store) == references
    assert lost.exists()


@pytest.mark.parametrize(
    ("path", "tag", "expected"),
    [
        ("pause", "3.10.2", {"Entrypoint": ["/pause"], "User": "65535:65535"}),
        ("coredns/coredns", TAGS["coredns"], {"Entrypoint": ["/coredns"], "User": "nonroot:nonroot"}),
        ("e2e-test-images/agnhost", "2.66.1", {"Entrypoint": ["/agnhost"], "Cmd": ["pause"]}),
    ],
)  # fmt: skip
def test_an_image_has_the_same_entrypoint_and_user_as_upstream(
    store: Store, path: str, tag: str, expected: dict[str, Any]
) -> None:
    made = config(store, path, tag)
    assert (made["os"], made["architecture"]) == ("linux", "amd64")
    assert {key: value for key, value in made["config"].items() if key in {"Entrypoint", "Cmd", "User"}} == expected
    assert members(store, path, tag)[expected["Entrypoint"][0].removeprefix("/")].mode == 0o755


def test_the_configuration_names_the_layers_as_they_are_unpacked(store: Store) -> None:
    layers = manifest(store, "e2e-test-images/agnhost", "2.66.1")["layers"]
    blobs = [store.blob(layer["digest"]) for layer in layers]
    plain = [f"sha256:{hashlib.sha256(gzip.decompress(blob.read_bytes())).hexdigest()}" for blob in blobs if blob]
    assert config(store, "e2e-test-images/agnhost", "2.66.1")["rootfs"]["diff_ids"] == plain
    assert [layer["size"] for layer in layers] == [blob.stat().st_size for blob in blobs if blob]


def test_the_dns_server_may_bind_its_port_as_anyone(store: Store, tmp_path: Path) -> None:
    member = members(store, "coredns/coredns", "v1.14.6")["coredns"]
    capability = member.pax_headers["SCHILY.xattr.security.capability"].encode()
    file = tmp_path / "coredns"
    file.touch()
    os.setxattr(file, "security.capability", capability)  # the kernel refuses what is none
    if getcap := shutil.which("getcap"):
        said = subprocess.run([getcap, file], capture_output=True, text=True, check=True).stdout
        assert "cap_net_bind_service=ep" in said


def test_tools_are_roots_with_links_and_without_documentation(store: Store) -> None:
    found = members(store, "e2e-test-images/agnhost", "2.66.1")
    assert found["bin"].linkname == "usr/bin"
    assert found["usr/bin/sh"].linkname == "dash"
    assert found["usr/bin/dash"].mode == 0o755
    assert found["agnhost-2"].linkname == "agnhost"
    assert not [name for name in found if name.startswith("usr/share/doc/")]
    assert {(member.uid, member.gid, member.mtime) for member in found.values()} == {(0, 0, 0)}


def test_a_manifest_is_served_by_tag_and_by_digest(store: Store, client: httpx.Client) -> None:
    reference = oci.references(store)["coredns"].rpartition("@")[2]
    assert client.get("/v2/").status_code == 200
    for wanted in ("v1.14.6", reference):
        for path, namespace in (
            ("coredns/coredns", {"ns": "registry.k8s.io"}),
            ("registry.k8s.io/coredns/coredns", {}),
        ):
            got = client.get(f"/v2/{path}/manifests/{wanted}", params=namespace)
            head = client.head(f"/v2/{path}/manifests/{wanted}", params=namespace)
            assert got.status_code == head.status_code == 200
            assert head.content == b""
            for response in (got, head):
                assert response.headers["docker-content-digest"] == reference
                assert response.headers["content-type"] == "application/vnd.oci.image.manifest.v1+json"
                assert response.headers["content-length"] == str(len(got.content))
            assert f"sha256:{hashlib.sha256(got.content).hexdigest()}" == reference


def test_a_blob_is_served_whole_and_in_part(store: Store, client: httpx.Client) -> None:
    layer = manifest(store, "pause", "3.10.2")["layers"][0]
    address = f"/v2/pause/blobs/{layer['digest']}"
    whole = client.get(address)
    assert f"sha256:{hashlib.sha256(whole.content).hexdigest()}" == layer["digest"]
    assert client.head(address).headers["content-length"] == str(layer["size"]) == str(len(whole.content))
    part = client.get(address, headers={"Range": "bytes=4-9"})
    assert (part.status_code, part.content) == (206, whole.content[4:10])
    with tarfile.open(fileobj=io.BytesIO(whole.content)) as tar:
        assert tar.extractfile("pause").read() == b"pause"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("library/nginx/manifests/latest", 404, "NAME_UNKNOWN"),
        ("coredns/manifests/v1.14.6", 404, "NAME_UNKNOWN"),
        ("Pause/manifests/3.10.2", 404, "NAME_UNKNOWN"),
        ("pause/manifests/9.9", 404, "MANIFEST_UNKNOWN"),
        (f"pause/manifests/sha256:{'0' * 64}", 404, "MANIFEST_UNKNOWN"),
        ("pause/manifests/sha256:short", 404, "MANIFEST_UNKNOWN"),
        ("pause/manifests/%2e%2e", 404, "MANIFEST_UNKNOWN"),
        (f"pause/blobs/sha256:{'0' * 64}", 404, "BLOB_UNKNOWN"),
        ("pause/blobs/..", 404, "UNSUPPORTED"),
        ("pause/tags", 404, "UNSUPPORTED"),
        ("pause/manifests/3.10.2?ns=docker.io", 404, "NAME_UNKNOWN"),
        ("pause/manifests/3.10.2?ns=..", 404, "NAME_UNKNOWN"),
    ],
)
def test_what_is_not_there_is_said_in_the_registrys_own_words(
    client: httpx.Client, path: str, status: int, code: str
) -> None:
    response = client.get(f"/v2/{path}", params=None if "?" in path else {"ns": "registry.k8s.io"})
    assert (response.status_code, response.json()["errors"][0]["code"]) == (status, code)
    assert response.json()["errors"][0]["message"]


def test_a_registry_takes_no_uploads_and_shows_no_files(client: httpx.Client) -> None:
    refused = client.post("/v2/pause/blobs/uploads/")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (405, "UNSUPPORTED")
    assert client.put("/v2/pause/manifests/3.10.2", content=b"{}").status_code == 405
    assert client.get("/.images/names/registry.k8s.io/pause/_tags/3.10.2").status_code == 404


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A folder with a short name: a socket's path has 107 bytes at most (unix(7))."""
    with tempfile.TemporaryDirectory(dir="/run") as folder:
        yield Path(folder)


@pytest.fixture
def containerd(tmp_path: Path, sockets: Path) -> Iterator[list[str]]:
    """A containerd of our own, and the command that talks to it."""
    build = toolchain.build("containerd")
    without = ["grpc.v1.cri", "cri.v1.images", "cri.v1.runtime"]
    (tmp_path / "config.toml").write_text(
        f'version = 3\nroot = "{tmp_path}/root"\nstate = "{tmp_path}/state"\n'
        f"disabled_plugins = {[f'io.containerd.{name}' for name in without]}\n"
        f'[grpc]\naddress = "{sockets}/containerd.sock"\n'
    )
    ctr = [str(build.path("ctr")), f"--address={sockets}/containerd.sock"]
    with (
        (tmp_path / "containerd.log").open("wb") as log,
        subprocess.Popen(
            [build.path("containerd"), f"--config={tmp_path}/config.toml"],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PATH": f"{build.directory}:{os.environ['PATH']}"},
        ) as process,
    ):
        deadline = time.monotonic() + 60
        while subprocess.run([*ctr, "version"], capture_output=True, check=False).returncode:
            assert process.poll() is None, (tmp_path / "containerd.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield ctr
        process.terminate()


Pull = Callable[[str], subprocess.CompletedProcess[str]]


def pulling(ctr: list[str], registry: httpx.Client, folder: Path) -> Pull:
    """Have containerd pull from the given registry alone, told as a host is told."""
    hosts = folder / "hosts/_default/hosts.toml"
    hosts.parent.mkdir(parents=True, exist_ok=True)
    hosts.write_text(registry_hosts(str(registry.base_url)))
    command = [*ctr, "images", "pull", "--local", f"--hosts-dir={folder}/hosts", "--snapshotter=native"]

    def pull(reference: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, reference], capture_output=True, text=True, check=False, timeout=120)

    return pull


@pytest.mark.engine
def test_containerd_pulls_upstream_images_from_the_mirror(
    containerd: list[str], store: Store, client: httpx.Client, tmp_path: Path
) -> None:
    pull = pulling(containerd, client, tmp_path)
    for reference in (*oci.references(store).values(), "registry.k8s.io/e2e-test-images/agnhost:2.66.1"):
        ran = pull(reference)
        assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr
    missing = pull("docker.io/library/nginx:1.27")
    assert missing.returncode == 1
    assert "not found" in missing.stderr


@pytest.mark.engine
def test_containerd_pulls_loaded_and_foreign_registry_images(containerd: list[str], tmp_path: Path) -> None:
    stores = Stores.of(tmp_path / "mirror")
    upstream = Upstream(wants_token=True, redirects=True)
    upstream.push("library/web:1.0", "theirs")
    upstream.push("team/web:2.0", "others")
    for archive in (layout("registry.example.com/x/y:tag"), tar(saved((["web:old", "localhost/web:1"], [layer()])))):
        oci.load(io.BufferedReader(io.BytesIO(archive)), stores)
    with served(upstream.app) as other, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        silent = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        registries = Registries(
            urls={"docker.io": str(other.base_url), "ghcr.io": str(other.base_url), "quay.io": silent}
        )
        with served(app(tmp_path / "mirror", registries)) as registry:
            pull = pulling(containerd, registry, tmp_path)
            for reference in (
                "registry.example.com/x/y:tag",
                "docker.io/library/web:old",
                "localhost/web:1",
                "docker.io/library/web:1.0",
                "ghcr.io/team/web:2.0",
                f"docker.io/library/web@{upstream.tags['library/web:1.0']}",
            ):
                ran = pull(reference)
                assert ran.returncode == 0, reference + ran.stdout[-2000:] + ran.stderr
            began = upstream.count("/v2/")
            missing, unreachable = pull("docker.io/library/web:none"), pull("quay.io/team/web:1")
            assert "docker.io/library/web:none: not found" in missing.stderr
            assert upstream.count("/v2/") > began
            assert "503 Service Unavailable" in unreachable.stderr
            assert "quay.io:-no-answer" in unreachable.stderr
            assert "load-the-image-with-./triplane-image-load-FILE.tar" in unreachable.stderr


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """Debian's packages are unpacked already, a file or two of each."""
    folder = tmp_path / "debian"
    for userland in (TOOLS, BUSYBOX, NGINX):
        (userland.path(folder) / "usr/bin").mkdir(parents=True)
    busybox = BUSYBOX.path(folder) / "usr/bin/busybox"
    busybox.write_text("#!/bin/sh\nprintf '%s\\n' '[' busybox sh\n")
    busybox.chmod(0o755)
    programs, tests = built(tmp_path, "kubernetes-images"), built(tmp_path, "kubernetes-e2e")
    return Workshop(folder=folder, say=lambda _: None, programs=programs, tests=tests)


def test_upstream_test_images_are_built_under_the_expected_tags(workshop: Workshop, tmp_path: Path) -> None:
    ours = {
        "registry.k8s.io/e2e-test-images/agnhost:2.55",
        "registry.k8s.io/e2e-test-images/agnhost:2.66.1",
        "registry.k8s.io/e2e-test-images/busybox:1.37.0-2",
        "registry.k8s.io/e2e-test-images/glibc-dns-testing:2.1.1",
        "registry.k8s.io/e2e-test-images/kitten:1.8",
        "registry.k8s.io/e2e-test-images/nginx:1.27.0-2",
        "registry.k8s.io/e2e-test-images/nonewprivs:1.4",
        "registry.k8s.io/e2e-test-images/nonroot:1.5",
        "registry.k8s.io/pause:3.10.2",
    }
    store = Store(tmp_path / "store")
    assert (
        workshop.publish(store, {*ours, "registry.k8s.io/etcd:3.7.0-0", "invalid.registry.k8s.io/alpine:3.1"}) == ours
    )
    for reference in ours:
        assert store.reference(*reference.rsplit(":", 1))
    shell = members(store, "e2e-test-images/busybox", "1.37.0-2")
    assert {shell[f"bin/{name}"].linkname for name in ("[", "sh")} == {"busybox"}
    assert config(store, "e2e-test-images/nonroot", "1.5")["config"]["User"] == "1234"
    asks_for_root = members(store, "e2e-test-images/nonewprivs", "1.4")["usr/local/bin/nnp"]
    assert asks_for_root.mode == 0o6755
    assert {"agnhost", "data.json"} <= members(store, "e2e-test-images/kitten", "1.8").keys()
    assert config(store, "e2e-test-images/nginx", "1.27.0-2")["config"]["Cmd"] == ["nginx"]
    # Where nginx writes who it is, and where Debian's packages alone leave nothing.
    assert "run" in members(store, "e2e-test-images/nginx", "1.27.0-2")
