"""Modules that a go.sum pins, and which of them are downloaded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Module:
    """A version of a module, as go.sum names it."""

    path: str
    version: str

    def __str__(self) -> str:
        return f"{self.path}@{self.version}"

    def has_arrived(self, mod_cache: Path) -> bool:
        """True if Go has downloaded, checked and unpacked it (it writes the hash once the archive is complete)."""
        folder = mod_cache / "cache/download" / _escape(self.path) / "@v"
        return (folder / f"{_escape(self.version)}.ziphash").exists()


def pinned(go_sum: Path) -> list[Module]:
    """List the modules whose source go.sum pins, because a build needs it; for the others it pins only the go.mod."""
    lines = (line.split() for line in go_sum.read_text().splitlines())
    return [Module(path, version) for path, version, _ in lines if not version.endswith("/go.mod")]


def _escape(text: str) -> str:
    """Write a name as Go's module cache does, for file systems that ignore the case of letters."""
    return re.sub("[A-Z]", lambda letter: "!" + letter[0].lower(), text)
