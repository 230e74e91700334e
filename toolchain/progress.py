"""Progress of a build."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Step(StrEnum):
    """The steps of a build, in order; a cached build has only READY. NO_RELEASE and WRONG_RELEASE give a reason."""

    WAITING = "waiting"
    GO = "getting Go"
    FETCHING = "downloading the release"
    NO_RELEASE = "built from source"
    WRONG_RELEASE = "built from source, for the release's digest is wrong"
    MODULES = "downloading modules"
    PLANNING = "looking what to compile"
    COMPILING = "compiling packages"
    LINKING = "linking"
    READY = "ready"


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Step of one program's build."""

    program: str
    version: str
    step: Step
    done: int = 0
    total: int = 0
    """Number of megabytes of a download, or of modules or packages; 0 if there is nothing to count."""
    detail: str = ""

    def __str__(self) -> str:
        unit = " MB" if self.step is Step.FETCHING else ""
        count = f" {self.done}/{self.total}{unit}" if self.total else ""
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.program} {self.version}: {self.step}{count}{detail}"


class Tell(Protocol):
    """Reports the current step of a build."""

    def __call__(self, step: Step, done: int = 0, total: int = 0, detail: str = "") -> None:
        """Report the progress of the step."""


Listener = Callable[[Progress], None]


def ignore(_: Progress) -> None:
    """Do nothing, for callers that only want the result."""
