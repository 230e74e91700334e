"""What is checked on the machine that runs Pulumi."""

from __future__ import annotations

import socket
from pathlib import Path

import pulumi
import pytest

import preflight


def test_a_missing_agent_is_refused_in_one_line_with_the_fix(tmp_path: Path) -> None:
    path = tmp_path / "agent.1"
    with pytest.raises(pulumi.RunError) as absent:
        preflight.check({"SSH_AUTH_SOCK": str(path)})
    assert str(absent.value).startswith(f"SSH_AUTH_SOCK names an SSH agent that does not answer ({path}: No such file")
    assert str(absent.value).endswith("env -u SSH_AUTH_SOCK pulumi …")
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(path))  # nobody listens any more
    with pytest.raises(pulumi.RunError, match="Connection refused"):
        preflight.check({"SSH_AUTH_SOCK": str(path)})


def test_an_agent_that_answers_and_none_at_all_are_fine(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "agent.1"))
        agent.listen()
        preflight.check({"SSH_AUTH_SOCK": str(tmp_path / "agent.1")})
    preflight.check({})
    preflight.check({"SSH_AUTH_SOCK": ""})
