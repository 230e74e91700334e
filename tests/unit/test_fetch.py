"""How release files get onto a host: `fetch` of the step library, with files in the place of a mirror."""

from __future__ import annotations

import hashlib
import io
import socket
import subprocess
import tarfile
from pathlib import Path
from threading import Thread

import pytest

from model.assets import ASSETS


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "opt/triplane/etcd/3.6.14"


def fetch(
    directory: Path, file: Path, sha256: str | None = None, *, before: str = ":"
) -> subprocess.CompletedProcess[str]:
    sha256 = sha256 or hashlib.sha256(file.read_bytes()).hexdigest()
    script = f"{before}\n. {ASSETS}/steps/step.sh\nSTEP=install\nfetch {directory} file://{file} {sha256}\n"
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)


def archive(path: Path, members: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            tar.addfile(member, io.BytesIO(content.encode()))
    return path


def installed(directory: Path) -> dict[str, str]:
    assert not list(directory.glob(".fetch*")), "something half-downloaded is left"
    return {path.name: path.read_text() for path in directory.iterdir() if not path.name.startswith(".")}


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("etcd.tar.gz", {"etcd-v3.6.14/etcd": "one", "etcd-v3.6.14/etcdctl": "two", "etcd-v3.6.14/docs/a.md": "deep"}),
        ("containerd.tar.gz", {"bin/etcd": "one", "bin/etcdctl": "two"}),
        ("cni-plugins.tgz", {"./etcd": "one", "./etcdctl": "two"}),
        ("flat.tgz", {"etcd": "one", "etcdctl": "two"}),
    ],
)
def test_archive_programs_are_installed_from_any_layout(
    name: str, members: dict[str, str], tmp_path: Path, directory: Path
) -> None:
    result = fetch(directory, archive(tmp_path / name, members))
    assert result.returncode == 0, result.stderr
    assert installed(directory) == {"etcd": "one", "etcdctl": "two"}
    assert (directory / "etcd").stat().st_mode & 0o777 == 0o755


def test_anything_else_is_a_program(tmp_path: Path, directory: Path) -> None:
    program = tmp_path / "runc.amd64"
    program.write_text("runc")
    assert fetch(directory, program).stdout == f"installed {directory}/runc.amd64\n"
    assert installed(directory) == {"runc.amd64": "runc"}
    assert (directory / "runc.amd64").stat().st_mode & 0o777 == 0o755


def test_what_is_installed_is_not_downloaded_again(tmp_path: Path, directory: Path) -> None:
    program = tmp_path / "runc.amd64"
    program.write_text("runc")
    digest = hashlib.sha256(b"runc").hexdigest()
    assert fetch(directory, program, digest).returncode == 0
    program.unlink()
    again = fetch(directory, program, digest)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_a_wrong_digest_installs_nothing_and_keeps_the_old_files(tmp_path: Path, directory: Path) -> None:
    assert fetch(directory, archive(tmp_path / "a.tgz", {"./bridge": "right"})).returncode == 0
    wrong = archive(tmp_path / "a.tgz", {"./bridge": "wrong"})
    result = fetch(directory, wrong, "0" * 64)
    assert result.returncode == 1
    assert f"step install: file://{wrong} has the digest " in result.stderr
    assert f", but {'0' * 64} is pinned: nothing was installed" in result.stderr
    assert installed(directory) == {"bridge": "right"}


def test_a_full_disk_is_named_and_leaves_the_old_files(tmp_path: Path, directory: Path) -> None:
    file = tmp_path / "kubectl"
    file.write_text("old")
    fetch(directory, file)
    file.write_text("new" * 10_000)
    # A file of at most 1 KiB, as long as the disk has it: the kernel refuses what is longer.
    result = fetch(directory, file, before="trap '' XFSZ; ulimit -f 1")
    assert result.returncode == 1
    assert f"step install: cannot write to {directory}: is the disk full? (df -h {directory})" in result.stderr
    assert installed(directory) == {"kubectl": "old"}


def test_an_archive_that_cannot_be_unpacked_installs_nothing(tmp_path: Path, directory: Path) -> None:
    broken = tmp_path / "broken.tgz"
    broken.write_text("no archive")
    result = fetch(directory, broken)
    assert result.returncode == 1
    assert "cannot unpack broken.tgz" in result.stderr
    assert installed(directory) == {}


def test_a_download_that_stalls_is_given_up(tmp_path: Path, directory: Path) -> None:
    library = (ASSETS / "steps/step.sh").read_text()
    for bound, soon in (("--speed-time 60", "--speed-time 1"), ("--retry 5", "--retry 1")):
        assert bound in library
        library = library.replace(bound, soon)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/etcd.tar.gz"
        calls: list[socket.socket] = []

        def stall() -> None:
            for _ in range(2):
                calls.append(server.accept()[0])
                calls[-1].sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegun")

        peer = Thread(target=stall)
        peer.start()
        script = f"{library}\nSTEP=install\nfetch {directory} {url} {'0' * 64}\n"
        result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, timeout=60)
        peer.join()
        for call in calls:
            call.close()
    assert result.returncode == 1
    assert f"cannot download {url}: curl: (28) Operation too slow" in result.stderr
    assert installed(directory) == {}
