from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from launcher import cli, stacks
from launcher.commands import test as tests
from launcher.context import Context
from launcher.report import Report
from launcher.workspace import Workspace

ROOT = Path(__file__).parents[2]
COMMANDS = [str(getattr(command.callback, "__name__", command.name)) for command in cli.app.registered_commands]
COMMANDS += [str(group.name) for group in cli.app.registered_groups]
PASSING = ["test", "pulumi", "doctor", "kubectl", "etcdctl", "ssh", "lab"]


def run(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The launcher as a process of its own, in a folder where nothing has been made yet."""
    return subprocess.run(
        [sys.executable, "-m", "launcher", *arguments],
        cwd=ROOT,
        env=os.environ | {"TRIPLANE_DIR": str(tmp_path / "made"), "TRIPLANE_LAB": "unit"} | environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_there_is_help_on_the_whole() -> None:
    assert CliRunner().invoke(cli.app, ["--help"]).exit_code == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_there_is_help_on_each_command(command: Any) -> None:
    result = CliRunner().invoke(cli.app, [command, "--help"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 4


def test_help_on_any_machine_lists_the_same_commands() -> None:
    """The script's own text, which needs no Python, and the launcher's commands."""
    usage = subprocess.run([ROOT / "triplane", "--help"], capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  (\w+) ", usage, re.MULTILINE)) == set(COMMANDS)


def test_an_unknown_command_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "upp")
    assert done.returncode == 2
    assert "No such command 'upp'" in done.stderr


def test_a_wrong_doctor_option_is_refused_before_a_lab_starts(tmp_path: Path) -> None:
    done = run(tmp_path, "doctor", "--dail", "192.0.2.1")
    assert done.returncode == 2
    assert "--dail" in done.stderr
    assert not (tmp_path / "made").exists()


def test_an_unknown_option_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "up", "--fast")
    assert done.returncode == 2
    assert "--fast" in done.stderr


@pytest.mark.parametrize("command", [["kubectl", "get", "ns"], ["etcdctl", "member", "list"], ["ssh", "etcd-0"]])
def test_before_any_up_a_command_on_the_cluster_says_what_to_run(tmp_path: Path, command: Any) -> None:
    done = run(tmp_path, *command)
    assert (done.returncode, done.stderr.strip()) == (1, "triplane: no cluster yet: run ./triplane up")


def test_status_before_any_up_says_that_there_is_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, "status")
    assert done.returncode == 0, done.stderr
    assert "unit is not running" in done.stdout
    assert "run ./triplane up" in done.stdout


@pytest.mark.parametrize(
    ("block", "why"), [("198.18.0", "write a network such as"), ("198.18.0.0/30", "must be a network from /16 to /27")]
)
def test_a_block_that_is_none_is_refused_with_what_to_write(tmp_path: Path, block: str, why: str) -> None:
    done = run(tmp_path, "status", TRIPLANE_LAB_BLOCK=block)
    assert done.returncode == 2
    assert "TRIPLANE_LAB_BLOCK" in done.stderr
    assert why in done.stderr


def test_a_lab_name_that_cannot_be_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "status", TRIPLANE_LAB="My Lab")
    assert done.returncode == 2
    assert "TRIPLANE_LAB" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "stack"),
    [
        (["preview"], "lab"),
        (["preview", "--stack", "prod"], "prod"),
        (["-s", "dev", "up"], "dev"),
        (["up", "--stack=dev"], "dev"),
        (["up", "--stack"], "lab"),
    ],
)
def test_the_stack_that_a_command_line_means_is_prepared(arguments: tuple[str, ...], stack: str) -> None:
    assert stacks.stack_meant(arguments, "lab") == stack


@pytest.mark.parametrize("command", PASSING)
def test_what_follows_a_passing_command_is_the_other_programs(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    module = importlib.import_module(f"launcher.commands.{command}")
    monkeypatch.setattr(module, command, lambda *arguments: seen.append(arguments[1:]))
    words = ["host", "get", "-o", "wide", "--help", "--", "-x"]
    assert CliRunner().invoke(cli.app, [command, *words]).exit_code == 0
    (received,) = seen
    assert received == (("host", words[1:]) if command == "ssh" else (words,))


def test_fast_tests_leave_out_hosts_and_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(tests, "become", seen.append)
    monkeypatch.chdir(ROOT)
    tests.test(Context(workspace=Workspace.from_environment({}), report=Report()), ["fast", "-k", "names"])
    assert seen[0][1:] == ["-m", "pytest", *tests.selected(["fast", "-k", "names"]).arguments]
