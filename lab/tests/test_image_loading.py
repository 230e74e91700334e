"""Loading images from archives: every shape that tools write, and every way in which one can be wrong."""

from __future__ import annotations

import bz2
import gzip
import io
import json
from pathlib import Path

import pytest

from lab import oci
from lab.oci import ImageError, Loaded, Stores, names
from lab.tests import archives
from lab.tests.archives import FULL_NAME, OCI_NAME, Layout, layer, layout, saved, tar


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return Stores.of(tmp_path / "mirror")


def load(stores: Stores, content: bytes, name: str | None = None) -> list[Loaded]:
    return oci.load(io.BufferedReader(io.BytesIO(content)), stores, name=name)


def served(stores: Stores, repository: str, tag: str) -> list[bytes]:
    """The content of the layers of what a node gets under a tag."""
    found = stores.loaded.manifest(repository, tag)
    assert found
    assert archives.sha256(found.file.read_bytes()) == found.digest
    manifest = json.loads(found.file.read_text())
    if "manifests" in manifest:
        child = stores.loaded.manifest(repository, manifest["manifests"][0]["digest"])
        assert child
        manifest = json.loads(child.file.read_text())
    layers = []
    for part in (manifest["config"], *manifest["layers"]):
        blob = stores.loaded.blob(part["digest"])
        assert blob
        assert (f"sha256:{archives.sha256(blob.read_bytes())}", blob.stat().st_size) == (part["digest"], part["size"])
        zipped = part["mediaType"].endswith("+gzip")
        layers.append(gzip.decompress(blob.read_bytes()) if zipped else blob.read_bytes())
    return layers[1:]


def blobs(stores: Stores) -> set[str]:
    return {file.name for file in (stores.loaded.directory / "blobs").iterdir()}


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("web", "docker.io/library/web:latest"),
        ("web:1.0", "docker.io/library/web:1.0"),
        ("team/web:1.0", "docker.io/team/web:1.0"),
        ("docker.io/web", "docker.io/library/web:latest"),
        ("index.docker.io/library/web:1", "docker.io/library/web:1"),
        ("localhost/web:1.0", "localhost/web:1.0"),
        ("localhost:5000/web", "localhost:5000/web:latest"),
        ("registry.example.com/x/y:tag", "registry.example.com/x/y:tag"),
        ("ghcr.io/a/b__c-d.e:V1", "ghcr.io/a/b__c-d.e:V1"),
    ],
)
def test_a_name_is_completed_as_containerd_completes_it(text: str, full: str) -> None:
    name = names.parse(text)
    assert str(name) == full
    assert str(names.parse(name.short)) == full


@pytest.mark.parametrize("text", ["", "Web", "web:", "web:1.0@sha256:00", "../web", "a//b", "x/../y", "web:-1", "a b"])
def test_what_is_not_a_name_is_refused(text: str) -> None:
    with pytest.raises(ImageError, match="name"):
        names.parse(text)


@pytest.mark.parametrize("zipped", [False, True])
def test_what_docker_save_writes_is_loaded_under_its_tags(stores: Stores, zipped: bool) -> None:
    layers = [layer("one"), layer("two")]
    made = load(stores, tar(saved((["web:1.0", "registry.example.com/x/y:tag"], layers), zipped=zipped)))
    assert [str(each.name) for each in made] == ["docker.io/library/web:1.0", "registry.example.com/x/y:tag"]
    for repository, tag in (("docker.io/library/web", "1.0"), ("registry.example.com/x/y", "tag")):
        assert served(stores, repository, tag) == layers


def test_a_layer_that_an_image_has_twice_may_be_a_link(stores: Stores) -> None:
    files = saved((["web:1.0"], [layer()]))
    (name,) = json.loads(files["manifest.json"])[0]["Layers"]
    content = files.pop(name)
    load(stores, tar({**files, "first/layer.tar": content}, {name: "../first/layer.tar"}))
    assert served(stores, "docker.io/library/web", "1.0") == [content]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_an_oci_layout_is_loaded_with_its_own_digest(stores: Stores, pack: type[bytes]) -> None:
    made = Layout()
    manifest = made.image()
    (loaded,) = load(stores, pack(made.name(manifest, **{FULL_NAME: "docker.io/library/web:1.0"}).tar()))
    assert f"sha256:{loaded.digest}" == manifest["digest"]
    assert served(stores, "docker.io/library/web", "1.0") == [layer()]


def test_newer_versions_of_docker_write_both_shapes(stores: Stores) -> None:
    made = Layout()
    image = made.image()
    manifest = json.loads(made.files[f"blobs/sha256/{image['digest'].removeprefix('sha256:')}"])
    made.name(image)
    config = manifest["config"]["digest"].removeprefix("sha256:")
    layers = [f"blobs/sha256/{each['digest'].removeprefix('sha256:')}" for each in manifest["layers"]]
    entry = {"Config": f"blobs/sha256/{config}", "RepoTags": ["web:1.0"], "Layers": layers}
    made.files["manifest.json"] = archives.encoded([entry])
    (loaded,) = load(stores, made.tar())
    assert str(loaded.name) == "docker.io/library/web:1.0"
    assert f"sha256:{loaded.digest}" == image["digest"]


def test_only_the_hosts_own_platform_is_loaded_and_required(stores: Stores) -> None:
    made = Layout()
    ours, theirs = made.image("ours"), made.image("theirs", arch="arm64")
    attestation = made.image("attestation", arch="unknown")
    index = made.index(ours, theirs, attestation)
    del made.files[f"blobs/sha256/{theirs['digest'].removeprefix('sha256:')}"]
    (loaded,) = load(stores, made.name(index, **{FULL_NAME: "docker.io/library/web:1.0"}).tar())
    assert f"sha256:{loaded.digest}" == index["digest"]
    assert served(stores, "docker.io/library/web", "1.0") == [layer("ours")]


def test_several_images_in_one_archive_are_all_loaded(stores: Stores) -> None:
    made = load(stores, tar(saved((["web:1.0"], [layer("web")]), (["db:2.0"], [layer("db")]))))
    assert [each.name.short for each in made] == ["web:1.0", "db:2.0"]
    assert served(stores, "docker.io/library/db", "2.0") == [layer("db")]


def test_an_image_without_a_name_is_given_one(stores: Stores) -> None:
    archive = tar(saved((None, [layer()])))
    with pytest.raises(ImageError, match="--name NAME:TAG"):
        load(stores, archive)
    (loaded,) = load(stores, archive, name="web:1.0")
    assert str(loaded.name) == "docker.io/library/web:1.0"
    made = Layout()
    only_a_tag = made.name(made.image(), **{OCI_NAME: "1.0"}).tar()
    with pytest.raises(ImageError, match="--name NAME:TAG"):
        load(stores, only_a_tag)
    with pytest.raises(ImageError, match="several images"):
        load(stores, tar(saved((["a:1"], [layer("a")]), (["b:1"], [layer("b")]))), name="c:1")


def test_only_a_changed_image_replaces_the_tag(stores: Stores) -> None:
    (first,) = load(stores, layout())
    assert first.before is None
    kept = blobs(stores)
    (again,) = load(stores, layout())
    assert again.before == again.digest == first.digest
    assert blobs(stores) == kept
    (other,) = load(stores, layout(text="other"))
    assert other.before == first.digest != other.digest
    assert served(stores, "docker.io/library/web", "1.0") == [layer("other")]
    assert not kept & blobs(stores), "what only the old tag stood for stays"


def test_removing_a_tag_leaves_what_another_stands_for(stores: Stores) -> None:
    load(stores, tar(saved((["web:1.0", "web:latest"], [layer()]))))
    assert str(oci.remove("web:1.0", stores)) == "docker.io/library/web:1.0"
    assert served(stores, "docker.io/library/web", "latest") == [layer()]
    oci.remove("web", stores)
    assert not blobs(stores)
    assert not list(stores.loaded.tags())
    with pytest.raises(ImageError, match=r"docker.io/library/web:1.0 is not loaded"):
        oci.remove("web:1.0", stores)


def damaged(name: str, content: bytes | None, archive: dict[str, bytes]) -> bytes:
    """An archive in which a file has another content, or is missing."""
    return tar({key: value for key, value in (archive | {name: content}).items() if value is not None})


def layer_of(archive: dict[str, bytes]) -> str:
    return str(json.loads(archive["manifest.json"])[0]["Layers"][0])


SAVED = saved((["web:1.0"], [layer()]))
ZIPPED = saved((["web:1.0"], [layer()]), zipped=True)
CONFIG = json.loads(SAVED["manifest.json"])[0]["Config"]
BLOB = archives.sha256(gzip.compress(layer(), mtime=0))


@pytest.mark.parametrize(
    ("archive", "problem"),
    [
        (b"", "it is empty"),
        (b"not a tar archive " * 100, "not a whole tar archive"),
        (tar(SAVED)[:-12000], "not a whole tar archive|is missing in it"),
        (gzip.compress(tar(SAVED))[:-30], "not a whole tar archive"),
        (b"\x28\xb5\x2f\xfd rest", "zstd -d"),
        (tar({"etc/passwd": b"root:x:0:0"}), "`docker export` makes such archives"),
        (tar({"readme": b"hello"}), "neither a manifest.json .* nor an index.json"),
        (tar({"manifest.json": b"[]"}), "its list of images is empty"),
        (tar({"manifest.json": b"{"}), "manifest.json is not JSON"),
        (tar({"manifest.json": b"{}"}), "does not list images"),
        (tar({"manifest.json": b"[1]"}), "not a list of images"),
        (tar({"index.json": b'{"manifests": 1}'}), "not an OCI index"),
        (tar({"index.json": b'{"manifests": [{"digest": "md5:1"}]}'}), "is not a SHA-256"),
        (damaged(layer_of(SAVED), layer("evil"), SAVED), "web:1.0: its layers are not those of its configuration"),
        (damaged(layer_of(SAVED), None, SAVED), "layer.tar is missing"),
        (damaged(layer_of(ZIPPED), ZIPPED[layer_of(ZIPPED)][:-9], ZIPPED), "a layer is damaged"),
        (damaged(CONFIG, SAVED[CONFIG] + b" ", SAVED), "its configuration [0-9a-f]{12} is damaged"),
        (layout().replace(b"greeting", b"greetinx"), "is damaged"),
        (tar(saved((["web:1.0"], [layer()]), arch="arm64")), "web:1.0 is for linux/arm64, and the hosts are"),
        (layout(arch="arm64"), "web:1.0 is for linux/arm64.*docker build --platform linux/amd64"),
        (layout(name="Web:1.0"), "'Web:1.0' is not an image's name"),
    ],
)  # fmt: skip
def test_a_wrong_archive_is_one_clear_line_and_leaves_nothing(stores: Stores, archive: bytes, problem: str) -> None:
    with pytest.raises(ImageError, match=problem) as caught:
        load(stores, archive)
    assert len(str(caught.value).splitlines()) == 1
    assert not list(stores.loaded.tags())
    assert not blobs(stores)
    assert {file.name for file in stores.loaded.directory.iterdir()} <= {"blobs", ".lock"}


def test_one_bad_image_keeps_the_others_of_its_archive_out(stores: Stores) -> None:
    good, bad = saved((["web:1.0"], [layer()])), saved((["bad:1.0"], [layer("bad")]), arch="arm64")
    entries = [*json.loads(good["manifest.json"]), *json.loads(bad["manifest.json"])]
    with pytest.raises(ImageError, match=r"bad:1.0 is for linux/arm64"):
        load(stores, tar({**good, **bad, "manifest.json": archives.encoded(entries)}))
    assert not list(stores.loaded.tags())


def test_a_layout_without_the_hosts_part_says_how_to_save_it(stores: Stores) -> None:
    made = Layout()
    ours, theirs = made.image(), made.image("theirs", arch="arm64")
    index = made.index(ours, theirs)
    del made.files[f"blobs/sha256/{ours['digest'].removeprefix('sha256:')}"]
    with pytest.raises(ImageError, match=r"lacks the linux/amd64 part.*docker save --platform linux/amd64"):
        load(stores, made.name(index, **{FULL_NAME: "docker.io/library/web:1.0"}).tar())


def test_the_clusters_own_images_cannot_be_replaced_or_removed(stores: Stores) -> None:
    with stores.built.locked():
        stores.built.name("registry.k8s.io/pause", "3.10.2", "0" * 64, "key")
    with pytest.raises(ImageError, match=r"registry.k8s.io/pause:3.10.2 is an image of the cluster itself"):
        load(stores, layout("registry.k8s.io/pause:3.10.2"))
    with pytest.raises(ImageError, match="is an image of the cluster itself"):
        oci.remove("registry.k8s.io/pause:3.10.2", stores)
    load(stores, layout("docker.io/library/pause:3.10.2"))


class Interrupted(io.RawIOBase):
    """An archive in the middle of which the user presses Ctrl-C."""

    def __init__(self, content: bytes) -> None:
        self._source = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        if self._source.tell() > 4096:
            raise KeyboardInterrupt
        return self._source.readinto(memoryview(buffer)[:1024])


def test_an_interrupted_load_leaves_the_tag_as_it_was(stores: Stores) -> None:
    load(stores, layout(text="old"))
    before = blobs(stores)
    with pytest.raises(KeyboardInterrupt):
        oci.load(io.BufferedReader(Interrupted(layout(text="new")), 1024), stores)
    assert served(stores, "docker.io/library/web", "1.0") == [layer("old")]
    assert blobs(stores) == before
    assert not list(stores.loaded.directory.glob(".staging-*"))


def test_what_a_killed_load_left_goes_with_the_next(stores: Stores) -> None:
    (stores.loaded.directory / ".staging-killed").mkdir(parents=True)
    load(stores, layout())
    assert not list(stores.loaded.directory.glob(".staging-*"))
