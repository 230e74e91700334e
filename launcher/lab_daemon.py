"""The lab's daemon, as the launcher sees it."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from lab import instances, lifecycle
from lab.hosts.cgroups import Group
from lab.interfaces import MachineError
from launcher import memory
from launcher.errors import LauncherError
from launcher.report import Report
from launcher.workspace import Workspace


def command(workspace: Workspace, arguments: Sequence[str]) -> list[str]:
    """Compose the command line of one of the lab's own commands; it must run in the checkout's directory."""
    return [sys.executable, "-m", "lab", *lifecycle.arguments(workspace.lab), *arguments]


def runs(workspace: Workspace) -> bool:
    """True if this checkout's lab runs."""
    record = instances.daemon(workspace.lab.name)
    return record is not None and Path(record.directory) == workspace.lab.directory


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (MachineError, instances.LabError) as error:
        raise LauncherError(str(error)) from error


def start(workspace: Workspace, report: Report) -> None:
    """Start the lab, if it does not run; hosts that should be on and are off are booted again."""
    ran = runs(workspace)  # it may still be starting
    with _explained():
        lifecycle.start(workspace.lab, (lambda _line: None) if ran else report.say)


def remove(workspace: Workspace, report: Report) -> None:
    """Stop the lab and remove all that it made."""
    with _explained():
        lifecycle.stop(workspace.lab, report.say, purge=True)


def processes(workspace: Workspace) -> set[int]:
    """Find the processes of the daemon and of all its hosts."""
    record = instances.daemon(workspace.lab.name)
    daemon = memory.with_descendants([record.pid]) if record is not None else set()
    return daemon | set(Group(workspace.lab.name).pids())


def tokens(workspace: Workspace) -> dict[str, str]:
    """Read the lab's tokens, and a fingerprint that changes when they change."""
    path = workspace.lab.directory / "tokens.yaml"
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise LauncherError(f"the lab has no tokens yet ({path}): run ./triplane lab start") from None
    content: dict[str, Any] = yaml.safe_load(text)
    return {
        "digitalocean": content["digitalocean"],
        "cloudflare": content["cloudflare"],
        "fingerprint": hashlib.sha256(text.encode()).hexdigest(),
    }
