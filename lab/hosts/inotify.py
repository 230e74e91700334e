"""Limit of inotify instances on this machine: the kernel counts them per user, not per host, so hosts reach it.

Every host's systemd holds five and every API server seven, all as root, and the kernel's default is 128. Above the
limit, units silently fail to start, so the lab raises the limit while it runs and restores it when it stops.
"""

from __future__ import annotations

from pathlib import Path

from lab.config import REGISTRY
from lab.interfaces import MachineError

WANTED = 4096
LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")


def _before() -> Path:
    return REGISTRY / "inotify-instances-before"


def ensure() -> None:
    """Raise the limit if it is lower than hosts need, and remember what it was."""
    current = int(LIMIT.read_text())
    if current >= WANTED:
        return
    if not _before().exists():
        _before().write_text(f"{current}\n")
    try:
        LIMIT.write_text(str(WANTED))
    except OSError as error:
        raise MachineError(
            f"hosts need fs.inotify.max_user_instances at {WANTED}, it is {current} and cannot be changed from here "
            f"({error.strerror}): set it with `sysctl -w fs.inotify.max_user_instances={WANTED}` where that is allowed"
        ) from error


def put_back(name: str) -> None:
    """Restore the limit when lab `name` ends, unless another lab is on record or the limit was changed since."""
    if any(record.stem != name for record in REGISTRY.glob("*.json")) or not _before().exists():
        return
    if int(LIMIT.read_text()) == WANTED:
        LIMIT.write_text(_before().read_text())
    _before().unlink()
