"""`./triplane lab`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

from launcher import lab_daemon
from launcher.context import Context, become


def lab(context: Context, arguments: Sequence[str]) -> NoReturn:
    """Replace this process with the lab's own command."""
    context.workspace.prepare()
    os.chdir(context.workspace.checkout)
    become(lab_daemon.command(context.workspace, arguments or ["--help"]))
