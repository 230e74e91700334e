"""Result of a check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """State of a check, as it is printed."""

    OK = "ok"
    NOTE = "note"
    """Good to know, or could not be checked; it does not stop an `up`."""
    WRONG = "WRONG"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The result of one check."""

    state: State
    found: str
    """The finding: full sentences, one line."""
    advice: str = ""
    """Advice; empty if there is nothing to do."""

    def __str__(self) -> str:
        """Return one line."""
        return " ".join(filter(None, (self.found, self.advice)))


def ok(found: str) -> Finding:
    """All is well."""
    return Finding(state=State.OK, found=found)


def note(found: str, advice: str = "") -> Finding:
    """Good to know."""
    return Finding(state=State.NOTE, found=found, advice=advice)


def wrong(found: str, advice: str) -> Finding:
    """An `up` would fail, or cause trouble later."""
    return Finding(state=State.WRONG, found=found, advice=advice)
