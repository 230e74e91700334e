"""What every command has at hand."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from launcher.report import Report
from launcher.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """Where to work, and whom to tell."""

    workspace: Workspace
    report: Report


def become(command: Sequence[str], env: Mapping[str, str] | None = None) -> NoReturn:
    """Put a program in this process's place: terminal, signals and exit code are its own."""
    sys.stdout.flush()
    os.execvpe(command[0], list(command), dict(os.environ if env is None else env))  # noqa: S606 - no shell is wanted
