"""`./triplane ssh`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from launcher.access import certify, host_named, ssh_command
from launcher.context import Context, become
from launcher.live import cluster


def ssh(context: Context, host: str, command: Sequence[str]) -> NoReturn:
    """Log in, or run a command."""
    outputs = cluster(context)
    found = host_named(outputs["hosts"], host)
    certify(context.workspace)
    become(ssh_command(context.workspace, outputs, found, command))
