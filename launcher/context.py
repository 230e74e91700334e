"""Workspace, console and preparation, which all commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

from launcher.report import Report
from launcher.workspace import Workspace

if TYPE_CHECKING:
    from launcher.preparation import Preparation


@dataclass(frozen=True, kw_only=True)
class Context:
    """One run of `./triplane`."""

    workspace: Workspace
    report: Report

    @cached_property
    def preparation(self) -> Preparation:
        """Maker of binaries, images and stack files."""
        from launcher.preparation import Preparation  # noqa: PLC0415 - half a second, which not every command needs

        return Preparation(workspace=self.workspace, report=self.report)


def become(command: Sequence[str], env: Mapping[str, str] | None = None) -> NoReturn:
    """Replace this process with a program: terminal, signals and exit code are its own."""
    sys.stdout.flush()
    os.execvpe(command[0], list(command), dict(os.environ if env is None else env))  # noqa: S606 - no shell is wanted
