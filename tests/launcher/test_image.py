"""`./triplane image`, as a user types it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.oci import Stores
from lab.tests.archives import layer, layout, saved, tar, written
from launcher import cli
from tests.launcher.test_cli import ROOT
from tests.waiting import wait_for


@dataclass
class Done:
    code: int
    stdout: str
    stderr: str


Image = Callable[..., Done]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def image(cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Image:
    """Run `./triplane image` with the given words."""
    monkeypatch.setenv("TRIPLANE_DIR", str(cache / "made"))
    monkeypatch.setenv("TRIPLANE_CACHE", str(cache))

    def run(*arguments: str | Path, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin))))
        with pytest.raises(SystemExit) as ended:
            cli.main(["image", *map(str, arguments)])
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return run


def test_an_image_is_loaded_listed_replaced_and_removed(image: Image, tmp_path: Path) -> None:
    file = written(tmp_path, layout("docker.io/library/web:1.0"))
    first = image("load", file)
    assert (first.code, first.stderr) == (0, "")
    assert first.stdout.startswith("loaded docker.io/library/web:1.0 (")
    assert first.stdout.endswith("use it as --image=web:1.0\n")
    again = image("load", file)
    assert again.stdout.endswith("it was there already\n")
    assert again.stderr == ""
    other = image("load", written(tmp_path, layout("docker.io/library/web:1.0", "other")))
    assert "it replaces another image of this tag" in other.stdout
    assert "`imagePullPolicy: Always`" in other.stderr
    (row,) = json.loads(image("list", "--json").stdout)
    assert (row["image"], row["from"]) == ("docker.io/library/web:1.0", "loaded")
    listed = image("list").stdout
    assert row["digest"].removeprefix("sha256:")[:12] in listed
    assert image("remove", "web:1.0").stdout == "removed docker.io/library/web:1.0\n"
    assert "no images yet" in image("list").stdout


def test_an_archive_may_come_through_a_pipe(image: Image) -> None:
    piped = image("load", "-", "--name", "team/web:2", stdin=tar(saved((None, [layer()]))))
    assert piped.stdout.startswith("loaded docker.io/team/web:2 (")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["load", "/nowhere/web.tar"], 1, "/nowhere/web.tar: No such file or directory"),
        (["load", "/tmp"], 1, "/tmp: Is a directory"),
        (["load", "README.md"], 2, "README.md: it is not a whole tar archive"),
        (["load", "-"], 2, "standard input: it is empty"),
        (["remove", "web:1.0"], 2, "docker.io/library/web:1.0 is not loaded"),
        (["remove", "Web"], 2, "'Web' is not an image's name"),
        (["load"], 2, "Missing argument"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(image: Image, arguments: list[str], code: int, said: str) -> None:
    done = image(*arguments)
    assert done.code == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_leaves_nothing_half(cache: Path) -> None:
    # A shell's background ignores the signal, and so would all that it starts.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "launcher", "image", "load", "-"]
    environment = os.environ | {"TRIPLANE_DIR": str(cache / "made"), "TRIPLANE_CACHE": str(cache)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=False
    ) as process:
        assert process.stdin
        assert process.stderr
        process.stdin.write(tar({"layer": bytes(1_000_000)})[:-500_000])
        process.stdin.flush()
        loaded = Stores.of(cache / "mirror").loaded
        wait_for("its folder", lambda: any(loaded.directory.glob(".staging-*/*")))
        process.send_signal(signal.SIGINT)
        assert b"interrupted, and nothing of it is loaded" in process.stderr.read()
        assert process.wait() == 130
    assert not any(loaded.directory.glob(".staging-*"))
    assert not list(loaded.tags())


def test_prune_removes_only_images_of_other_registries(image: Image, cache: Path, tmp_path: Path) -> None:
    image("load", written(tmp_path, layout()))
    pulled = Stores.of(cache / "mirror").pulled
    with pulled.locked():
        pulled.name("docker.io/library/nginx", "1", pulled.add(b"{}"))
    assert image("prune").stdout == "removed 2 bytes of images that came from other registries\n"
    assert not list(pulled.tags())
    assert [row["from"] for row in json.loads(image("list", "--json").stdout)] == ["loaded"]
