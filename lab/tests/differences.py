"""The documented differences between a lab host and a droplet, read from docs/lab-hosts.md."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

_ROW = re.compile(r"^\| (?P<kind>[a-z]+) \| (?P<what>.*?) \| .+ \|$", re.MULTILINE)


def rows(kind: str) -> tuple[str, ...]:
    """List what the first table names of a kind: the last name in code quotes of each row, a pattern of fnmatch."""
    text = Path("docs/lab-hosts.md").read_text()
    return tuple(re.findall(r"`([^`]+)`", row["what"])[-1] for row in _ROW.finditer(text) if row["kind"] == kind)


def untold(kind: str, found: set[str]) -> set[str]:
    """Select what no row of a kind covers."""
    return {name for name in found if not any(fnmatchcase(name, pattern) for pattern in rows(kind))}
