"""What a build tells those who wait for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Step(StrEnum):
    """The steps of a build, in order; a cached build goes through READY alone."""

    WAITING = "waiting"
    GO = "getting Go"
    FETCHING = "downloading the release"
    MODULES = "downloading modules"
    PLANNING = "looking what to compile"
    COMPILING = "compiling packages"
    LINKING = "linking"
    READY = "ready"


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far the build of one program is."""

    program: str
    version: str
    step: Step
    done: int = 0
    total: int = 0
    """0 where there is nothing to count."""
    detail: str = ""

    def __str__(self) -> str:
        count = f" {self.done}/{self.total}" if self.total else ""
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.program} {self.version}: {self.step}{count}{detail}"


Listener = Callable[[Progress], None]


def ignore(_: Progress) -> None:
    """For callers who only want the result."""
