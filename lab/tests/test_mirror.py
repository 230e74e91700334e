"""The mirror: upstream's paths, a catalog of digests, and downloads over HTTP."""

from __future__ import annotations

import dataclasses
import hashlib
import http.client
import os
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp

from lab.archive import pack
from lab.mirror import app, digests, publish
from toolchain import PROGRAMS, Build, Origin, release_catalog
from toolchain.build_cache import digest

ETCD_PATH = "github.com/etcd-io/etcd/releases/download/v3.6.14/etcd-v3.6.14-linux-amd64.tar.gz"
KUBECTL_PATH = "dl.k8s.io/release/v1.37.1/bin/linux/amd64/kubectl"


def built(cache: Path, program: str, version: str, mark: str = "") -> Build:
    """A build with a few readable bytes for each binary."""
    directory = cache / program / version
    directory.mkdir(parents=True, exist_ok=True)
    for name in PROGRAMS[program].binaries:
        new = directory / f"{name}.new"
        new.write_text(f"{name} {version}{mark}")
        new.chmod(0o755)
        new.replace(directory / name)
    return described(cache, program, version)


def described(cache: Path, program: str, version: str) -> Build:
    """The build that lies in the cache."""
    directory = cache / program / version
    return Build(
        program=program,
        version=version,
        arch="amd64",
        directory=directory,
        sha256={name: digest(directory / name) for name in PROGRAMS[program].binaries},
        built_from=f"a test of {program}",
    )


def published(folder: Path) -> Path:
    """A mirror of two releases, in a folder with their builds."""
    publish(folder / "mirror", [built(folder, "etcd", "3.6.14"), built(folder, "kubernetes", "1.37.1")])
    return folder / "mirror"


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A mirror to add to."""
    return published(tmp_path)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror that is only read."""
    return published(tmp_path_factory.mktemp("standing"))


@contextmanager
def served(application: ASGIApp) -> Iterator[httpx.Client]:
    """Serve an application on a free port of the loopback address."""
    server = uvicorn.Server(uvicorn.Config(application, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        yield client
    server.should_exit = True
    thread.join(30)


@pytest.fixture(scope="module")
def client(standing: Path) -> Iterator[httpx.Client]:
    with served(app(standing)) as client:
        yield client


def test_files_lie_where_upstream_has_them(mirror: Path) -> None:
    files = {str(file.relative_to(mirror)) for file in mirror.rglob("*") if file.is_file()}
    assert files == {
        ".lock",
        "catalog.yaml",
        ETCD_PATH,
        *(f"dl.k8s.io/release/v1.37.1/bin/linux/amd64/{name}" for name in PROGRAMS["kubernetes"].packages),
    }


def test_the_catalog_has_the_digest_of_what_is_served(standing: Path, client: httpx.Client) -> None:
    entries = release_catalog.load(standing / "catalog.yaml")
    checked = 0
    for versions in entries.values():
        for files in versions.values():
            for entry in files.values():
                path = entry.url.format(arch="amd64").removeprefix("https://")
                assert hashlib.sha256(client.get(path).content).hexdigest() == entry.sha256["amd64"]
                checked += 1
    assert checked == 1 + len(PROGRAMS["kubernetes"].packages)
    assert entries["etcd"]["3.6.14"]["etcd"].built_from == "a test of etcd"


def test_the_catalog_is_served_and_has_the_shape_of_upstreams(client: httpx.Client, tmp_path: Path) -> None:
    response = client.get("/catalog.yaml")
    (tmp_path / "served.yaml").write_bytes(response.content)
    served = release_catalog.load(tmp_path / "served.yaml")
    upstream = release_catalog.load(Path("assets/releases.yaml"))
    for component, versions in served.items():
        for version, files in versions.items():
            for name, entry in files.items():
                assert entry.url == upstream[component][version][name].url
    assert response.headers["content-type"].startswith("text/yaml")


def test_digests_come_out_by_file_version_and_architecture(mirror: Path) -> None:
    found = digests(mirror / "catalog.yaml")
    assert found["kubectl"] == {"1.37.1": {"amd64": hashlib.sha256(b"kubectl 1.37.1").hexdigest()}}
    assert found["etcd"] == {"3.6.14": {"amd64": digest(mirror / ETCD_PATH)}}


def test_what_was_downloaded_is_published_as_upstream_has_it(mirror: Path, tmp_path: Path) -> None:
    """Its digest is then upstream's own, which a stack knows without this lab."""
    theirs = tmp_path / "etcd-v3.6.14-linux-amd64.tar.gz"
    theirs.write_bytes(b"packed by upstream")
    taken = dataclasses.replace(described(tmp_path, "etcd", "3.6.14"), origin=Origin.RELEASE, release={"etcd": theirs})
    publish(mirror, [taken])
    assert (mirror / ETCD_PATH).samefile(theirs)
    assert digests(mirror / "catalog.yaml")["etcd"]["3.6.14"]["amd64"] == digest(theirs)
    publish(mirror, [described(tmp_path, "etcd", "3.6.14")])
    assert tarfile.is_tarfile(mirror / ETCD_PATH)
    assert theirs.read_bytes() == b"packed by upstream"


def test_the_archive_is_shaped_like_upstreams(mirror: Path) -> None:
    with tarfile.open(mirror / ETCD_PATH) as tar:
        members = tar.getmembers()
        assert tar.extractfile("etcd-v3.6.14-linux-amd64/etcdctl").read() == b"etcdctl 3.6.14"  # type: ignore[union-attr]
    assert [member.name for member in members] == [
        "etcd-v3.6.14-linux-amd64",
        *(f"etcd-v3.6.14-linux-amd64/{name}" for name in ("etcd", "etcdctl", "etcdutl")),
    ]
    assert {member.mode for member in members} == {0o755}


@pytest.mark.parametrize(
    ("program", "archive", "folder"),
    [
        (
            "containerd",
            "github.com/containerd/containerd/releases/download/v2.3.4/containerd-2.3.4-linux-amd64.tar.gz",
            "bin",
        ),
        (
            "cni-plugins",
            "github.com/containernetworking/plugins/releases/download/v1.9.1/cni-plugins-linux-amd64-v1.9.1.tgz",
            ".",
        ),
    ],
)
def test_an_archive_has_the_folder_that_upstreams_has(tmp_path: Path, program: str, archive: str, folder: str) -> None:
    publish(tmp_path / "mirror", [built(tmp_path, program, PROGRAMS[program].versions[0])])
    with tarfile.open(tmp_path / "mirror" / archive) as tar:
        names = [member.name for member in tar.getmembers()]
    assert names == [folder, *(f"{folder}/{name}" for name in sorted(PROGRAMS[program].binaries))]


def test_an_archive_is_reproducible_across_times_and_users(tmp_path: Path) -> None:
    for folder, date, mode in (("one", 1_000_000_000, 0o700), ("two", 1_700_000_000, 0o755)):
        (tmp_path / folder).mkdir()
        for name in ("b", "a"):
            file = tmp_path / folder / name
            file.write_text(name)
            file.chmod(mode)
            os.utime(file, (date, date))
    pack(tmp_path / "one.tar.gz", "release", [tmp_path / "one/a", tmp_path / "one/b"])
    pack(tmp_path / "another-name.tar.gz", "release", [tmp_path / "two/b", tmp_path / "two/a"])
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "another-name.tar.gz").read_bytes()


def test_publishing_more_keeps_what_was_there(mirror: Path, tmp_path: Path) -> None:
    file = publish(mirror, [built(tmp_path, "etcd", "3.6.13"), built(tmp_path, "flannel", "0.27.4")])
    found = digests(file)
    assert set(found["etcd"]) == {"3.6.13", "3.6.14"}
    assert {"kubectl", "flanneld"} <= set(found)


def test_publishing_the_same_again_writes_no_download_anew(mirror: Path, tmp_path: Path) -> None:
    before = {file: file.stat().st_ino for file in mirror.rglob("*amd64*") if file.is_file()}
    catalog_before = (mirror / "catalog.yaml").read_text()
    again = [("etcd", "3.6.14"), ("kubernetes", "1.37.1")]
    publish(mirror, [described(tmp_path, program, version) for program, version in again])
    assert {file: file.stat().st_ino for file in before} == before
    assert (mirror / "catalog.yaml").read_text() == catalog_before


def test_a_new_build_of_the_same_version_replaces_the_old_one(mirror: Path, tmp_path: Path) -> None:
    before = digests(mirror / "catalog.yaml")
    after = digests(publish(mirror, [built(tmp_path, "etcd", "3.6.14", mark=" rebuilt")]))
    assert after["etcd"] != before["etcd"]
    assert after["etcd"]["3.6.14"]["amd64"] == digest(mirror / ETCD_PATH)
    assert after["kubectl"] == before["kubectl"]


def test_two_publishers_at_once_lose_nothing_of_each_other(tmp_path: Path) -> None:
    wanted = [("etcd", "3.6.14"), ("etcd", "3.6.13"), ("kubernetes", "1.37.1"), ("flannel", "0.27.4")]
    builds = [built(tmp_path, program, version) for program, version in wanted]
    threads = [threading.Thread(target=publish, args=(tmp_path / "mirror", [build])) for build in builds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    entries = release_catalog.load(tmp_path / "mirror/catalog.yaml")
    assert {(program, version) for program, versions in entries.items() for version in versions} == set(wanted)


def test_what_upstream_does_not_publish_is_not_in_the_mirror(tmp_path: Path) -> None:
    file = publish(tmp_path / "mirror", [built(tmp_path, "pulumi", "3.259.0")])
    assert release_catalog.load(file) == {}


def test_a_mirror_that_is_filled_later_is_served_from_then_on(tmp_path: Path) -> None:
    with served(app(tmp_path / "mirror")) as client:
        assert client.get("/catalog.yaml").status_code == 404
        publish(tmp_path / "mirror", [built(tmp_path, "flannel", "0.27.4")])
        assert "flanneld" in client.get("/catalog.yaml").text


def test_a_download_says_its_size_and_type_to_get_and_head(client: httpx.Client) -> None:
    for response in (client.get(KUBECTL_PATH), client.head(KUBECTL_PATH)):
        assert response.status_code == 200
        assert response.headers["content-length"] == str(len("kubectl 1.37.1"))
        assert response.headers["content-type"] == "application/octet-stream"
        assert "content-encoding" not in response.headers
    assert client.head(KUBECTL_PATH).content == b""


def test_an_interrupted_download_goes_on_from_where_it_was(client: httpx.Client) -> None:
    response = client.get(KUBECTL_PATH, headers={"Range": "bytes=8-"})
    assert (response.status_code, response.text) == (206, "1.37.1")
    assert response.headers["content-range"] == "bytes 8-13/14"
    assert client.get(KUBECTL_PATH, headers={"Range": "bytes=99-"}).status_code == 416


@pytest.mark.parametrize(
    "path",
    [
        "/dl.k8s.io/release/v9.9.9/bin/linux/amd64/kubectl",
        "/dl.k8s.io/release",
        "/",
        "/.lock",
        "/../outside",
        "/%2e%2e/outside",
        "/dl.k8s.io/..%2f..%2foutside",
        "//etc/passwd",
    ],
)
def test_what_is_no_download_is_not_found(standing: Path, client: httpx.Client, path: str) -> None:
    (standing.parent / "outside").write_text("secret")
    connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port or 80)
    connection.request("GET", path)  # as it stands: a better client would tidy it up
    response = connection.getresponse()
    assert response.status == 404
    assert b"secret" not in response.read()
    connection.close()


def test_a_mirror_takes_no_uploads(client: httpx.Client) -> None:
    assert client.put(KUBECTL_PATH, content=b"other").status_code == 405


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("etcd: [1, 2]", "is not a catalog"),
        ("etcd: {3.6.14: {etcd: {url: x}}}", "etcd 3.6.14 etcd needs a url and a sha256"),
        ("etcd: {3.6.14: {etcd: {url: x, sha256: {amd64: abc}}}}", "digest for amd64 is not 64 hexadecimal"),
        ("etcd: {3.6.14: ", "is not a catalog"),
    ],
)
def test_a_catalog_that_is_none_is_told_with_the_place(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text(text)
    with pytest.raises(release_catalog.CatalogError, match=problem) as caught:
        release_catalog.load(file)
    assert str(file) in str(caught.value)
