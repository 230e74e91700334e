"""Finding or getting Go, and what the toolchain says and does where no build is needed to see it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from toolchain import ToolchainError, build, go
from toolchain.errors import failure
from toolchain.locks import locked


def test_a_lock_is_held_against_others_and_let_go_at_the_end(tmp_path: Path) -> None:
    waited: list[str] = []
    with locked(tmp_path / "lock", lambda: waited.append("first")):
        second = threading.Thread(target=lambda: _lock_once(tmp_path / "lock", waited))
        second.start()
        deadline = threading.Event()
        while not waited and not deadline.wait(0.01):
            assert second.is_alive()
        assert waited == ["second waits"]
    second.join(10)
    assert waited == ["second waits", "second has it"]


def _lock_once(file: Path, waited: list[str]) -> None:
    with locked(file, lambda: waited.append("second waits")):
        waited.append("second has it")


def test_unknown_programs_and_versions_list_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match=r"no program 'kubernets'; there are pulumi, .*kubernetes"):
        build("kubernets", cache=tmp_path)
    with pytest.raises(ToolchainError, match=r"kubernetes 1\.2\.3 .* pinned for 1\.37\.1, 1\.36\.3"):
        build("kubernetes", "1.2.3", cache=tmp_path)


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("write /x/_pkg_.a: no space left on device", "The disk is full"),
        ("verifying k8s.io/api@v0.37.1: checksum mismatch", "not what go.sum pins"),
        ("dial tcp: lookup proxy.example: no such host", "registry did not deliver"),
        ("reading https://proxy.example/x.zip: 503 Service Unavailable", "registry did not deliver"),
        ('cgo: C compiler "gcc" not found: exec: "gcc": executable file not found in $PATH', "apt-get install gcc"),
        ("compile: signal: killed", "out of memory"),
        ("something nobody foresaw", "Run it again"),
    ],
)
def test_an_error_says_what_to_do(said: str, remedy: str) -> None:
    message = str(failure("etcd 3.6.14", "compiling", ["# get https://proxy.example/x", said]))
    assert message.startswith("etcd 3.6.14: compiling failed.")
    assert said in message
    assert remedy in message
    assert "# get" not in message


def fake(folder: Path, name: str, says: str) -> Path:
    """A command that answers with one line, whatever it is asked."""
    folder.mkdir(parents=True, exist_ok=True)
    command = folder / name
    command.write_text(f"#!/bin/sh\necho '{says}'\n")
    command.chmod(0o755)
    return command


def test_a_go_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path / "old", "go", "go version go1.19.8 linux/amd64")
    monkeypatch.setenv("PATH", str(tmp_path / "old"))
    monkeypatch.setattr(go, "_SYSTEM_GO", tmp_path / "none")
    assert go.find((1, 19, 0), tmp_path) == go.Go(tmp_path / "old/go", (1, 19, 8))
    assert go.find((1, 26, 0), tmp_path) is None
    earlier = fake(tmp_path / "go/1.26.6/go/bin", "go", "go version go1.26.6 linux/amd64")
    assert go.find((1, 26, 0), tmp_path) == go.Go(earlier, (1, 26, 6))


def test_without_any_go_to_be_had_the_error_says_to_install_one(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("--no-index\nno-such-go==1\n")
    with pytest.raises(ToolchainError, match=r"no Go 1\.26\.0 or newer") as caught:
        go.install((1, 26, 0), tmp_path / "cache", requirements)
    assert "no-such-go" in str(caught.value)
    assert "put `go` on PATH" in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []
