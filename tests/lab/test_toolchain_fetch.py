"""Taking a release from a download server: checked, unpacked, or left for a build where that is not possible."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lab import catalog
from lab.catalog import Catalog, Entry
from lab.toolchain import Download, Program, Progress, Step, ToolchainError, build, builder, go, host_arch

ARCH = host_arch()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def served(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    return folder


@pytest.fixture
def server(served: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(served))) as listening:
        threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


@pytest.fixture(autouse=True)
def no_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that gets as far as looking for Go says so."""

    def looked(*_: object) -> go.Go:
        raise ToolchainError("it came to a build")

    monkeypatch.setattr(builder, "_go", looked)


def program(*downloads: Download) -> Program:
    binaries = [member for download in downloads for member in download.members]
    return Program(
        name="etcd",  # an existing module folder, which a fetched release has no need of
        versions=("3.6.14",),
        module="example.test/etcd",
        packages=dict.fromkeys(binaries, "example.test/etcd"),
        downloads=downloads,
    )


def plain(address: str, file: str = "etcd") -> Download:
    return Download(file=file, url=f"{address}/{{version}}/{file}-{{arch}}", members=(file,))


def listed(download: Download, content: bytes) -> Catalog:
    sha256 = {ARCH: hashlib.sha256(content).hexdigest()}
    entry = Entry(url=download.url.replace("{version}", "3.6.14"), sha256=sha256)
    return {"etcd": {"3.6.14": {download.file: entry}}}


def test_a_release_is_taken_when_its_digest_is_the_pinned_one(server: str, served: Path, tmp_path: Path) -> None:
    download = plain(server)
    (served / "3.6.14").mkdir()
    (served / f"3.6.14/etcd-{ARCH}").write_bytes(b"the release")
    told: list[Progress] = []
    result = build(
        program(download), upstream=listed(download, b"the release"), cache=tmp_path, on_progress=told.append
    )
    assert result.path("etcd").read_bytes() == b"the release"
    assert result.path("etcd").stat().st_mode & 0o777 == 0o755
    assert result.built_from == f"upstream's release, {server}/3.6.14/etcd-{ARCH}"
    assert [progress.step for progress in told][-2:] == [Step.FETCHING, Step.READY]


def test_a_release_with_another_digest_is_refused_and_nothing_is_kept(
    server: str, served: Path, tmp_path: Path
) -> None:
    download = plain(server)
    (served / "3.6.14").mkdir()
    (served / f"3.6.14/etcd-{ARCH}").write_bytes(b"not the release")
    with pytest.raises(ToolchainError, match=r"but [0-9a-f]{64} is pinned") as caught:
        build(program(download), upstream=listed(download, b"the release"), cache=tmp_path)
    assert f"{server}/3.6.14/etcd-{ARCH}" in str(caught.value)
    assert not any(file.is_file() and file.suffix != ".lock" for file in tmp_path.joinpath("bin").rglob("*"))


def test_an_archives_binaries_are_unpacked_from_whatever_folder_they_are_in(
    server: str, served: Path, tmp_path: Path
) -> None:
    content = archive({"etcd-v3/etcd": b"server", "etcd-v3/etcdctl": b"client", "etcd-v3/README.md": b"text"})
    (served / f"etcd-{ARCH}.tar.gz").write_bytes(content)
    download = Download(file="etcd", url=f"{server}/etcd-{{arch}}.tar.gz", members=("etcd", "etcdctl"))
    result = build(program(download), upstream=listed(download, content), cache=tmp_path)
    assert {name: result.path(name).read_bytes() for name in result.sha256} == {"etcd": b"server", "etcdctl": b"client"}


def test_an_archive_without_one_of_the_binaries_is_an_error(server: str, served: Path, tmp_path: Path) -> None:
    content = archive({"etcd-v3/etcd": b"server"})
    (served / f"etcd-{ARCH}.tar.gz").write_bytes(content)
    download = Download(file="etcd", url=f"{server}/etcd-{{arch}}.tar.gz", members=("etcd", "etcdctl"))
    with pytest.raises(ToolchainError, match="the downloaded archive has no etcdctl"):
        build(program(download), upstream=listed(download, content), cache=tmp_path)


def archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize("problem", ["not there", "nobody listens", "half of it"])
def test_a_release_that_cannot_be_had_is_built(server: str, served: Path, tmp_path: Path, problem: str) -> None:
    first = plain("http://127.0.0.1:9" if problem == "nobody listens" else server)
    downloads, upstream = [first], listed(first, b"the release")
    if problem == "half of it":
        second = plain(server, "etcdctl")
        downloads.append(second)
        upstream = {"etcd": {"3.6.14": {**upstream["etcd"]["3.6.14"], **listed(second, b"x")["etcd"]["3.6.14"]}}}
        (served / "3.6.14").mkdir()
        (served / f"3.6.14/etcd-{ARCH}").write_bytes(b"the release")
    told: list[Progress] = []
    with pytest.raises(ToolchainError, match="it came to a build"):
        build(program(*downloads), upstream=upstream, cache=tmp_path, on_progress=told.append)
    assert "so it is built" in str(told[-1])


def test_without_being_asked_no_server_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(builder.FETCH_VARIABLE, raising=False)
    told: list[Progress] = []
    with pytest.raises(ToolchainError, match="it came to a build"):
        build(program(plain("http://127.0.0.1:9")), cache=tmp_path, on_progress=told.append)
    assert told == []


def test_the_environment_asks_for_the_releases_of_the_projects_catalog(
    server: str, served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    download = plain(server)
    (served / "3.6.14").mkdir()
    (served / f"3.6.14/etcd-{ARCH}").write_bytes(b"the release")
    catalog.dump(listed(download, b"the release"), tmp_path / "releases.yaml")
    monkeypatch.setattr(builder, "RELEASES", tmp_path / "releases.yaml")
    monkeypatch.setenv(builder.FETCH_VARIABLE, "1")
    assert build(program(download), cache=tmp_path).path("etcd").read_bytes() == b"the release"


@pytest.mark.parametrize(("value", "allowed"), [("1", True), ("0", False), ("", False), (None, False)])
def test_the_environment_allows_it_with_a_one(
    monkeypatch: pytest.MonkeyPatch, value: str | None, *, allowed: bool
) -> None:
    if value is None:
        monkeypatch.delenv(builder.FETCH_VARIABLE, raising=False)
    else:
        monkeypatch.setenv(builder.FETCH_VARIABLE, value)
    assert builder.may_fetch() is allowed
