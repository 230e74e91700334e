"""Memory of the lab; pages that its processes share are counted once."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import psutil


def proportional_set_size(pids: Iterable[int]) -> int:
    """Sum over processes, in bytes; processes that end meanwhile count as zero."""
    total = 0
    for pid in set(pids):
        with suppress(psutil.Error):
            total += psutil.Process(pid).memory_full_info().pss
    return total


def with_descendants(pids: Iterable[int]) -> set[int]:
    """Find the processes and their descendants, except those that another process has adopted."""
    found = set(pids)
    for pid in tuple(found):
        with suppress(psutil.Error):
            found |= {child.pid for child in psutil.Process(pid).children(recursive=True)}
    return found
