"""Memory of the lab: pages that its processes share are counted once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")


def proportional_set_size(pids: Iterable[int], proc: Path = PROC) -> int:
    """Sum over processes, in bytes; those that end meanwhile count nothing."""
    total = 0
    for pid in set(pids):
        try:
            lines = (proc / str(pid) / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def with_descendants(pids: Iterable[int], proc: Path = PROC) -> set[int]:
    """Find the processes, and all that they started and that have not been adopted by another."""
    children: dict[int, list[int]] = {}
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # the name, in parentheses, may hold blanks: what follows it is the state, and then the parent
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        children.setdefault(parent, []).append(int(folder.name))
    found: set[int] = set()
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found
