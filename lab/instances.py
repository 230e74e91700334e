"""Labs on this machine: one record and one lock per name, so that two starts do not collide."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from lab.config import REGISTRY, LabConfig


class LabError(Exception):
    """A lab could not be started, stopped or asked; the message says what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """Daemon that runs a lab, or ran it last."""

    name: str
    directory: str
    block: str
    pid: int


def read(name: str) -> Record | None:
    """Return the record of a lab of this name; the lock tells whether its daemon runs."""
    try:
        return Record(**json.loads((REGISTRY / f"{name}.json").read_text()))
    except FileNotFoundError:
        return None


def write(config: LabConfig) -> None:
    """Record this process as the lab's daemon."""
    record = Record(name=config.name, directory=str(config.directory), block=str(config.block), pid=os.getpid())
    draft = REGISTRY / f"{config.name}.json.new"
    draft.write_text(json.dumps(asdict(record)))
    draft.rename(REGISTRY / f"{config.name}.json")


def forget(name: str) -> None:
    """Remove a lab's record and its locks; the caller must hold both locks."""
    for path in (REGISTRY / f"{name}.json", _lock_file(name, "daemon"), _lock_file(name, "change")):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # other labs are on record there
        REGISTRY.rmdir()


def daemon(name: str) -> Record | None:
    """Return the record of the running daemon, or None."""
    try:
        handle = _lock_file(name, "daemon").open()
    except FileNotFoundError:
        return None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return read(name)
    return None


@contextmanager
def as_daemon(config: LabConfig) -> Iterator[None]:
    """Hold the lock of the lab's only daemon while inside; the kernel frees it when the process ends in any way."""
    try:
        # Wait a moment: a process that only asks whether the daemon runs holds the lock briefly as well.
        handle = _acquire(config.name, "daemon", seconds=1)
    except BlockingIOError:
        raise LabError(running_elsewhere(config, daemon(config.name))) from None
    with handle:
        yield


@contextmanager
def changing(config: LabConfig, waiting: Callable[[str], None]) -> Iterator[None]:
    """Start or stop a lab: one at a time."""
    try:
        handle = _acquire(config.name, "change", seconds=0)
    except BlockingIOError:
        waiting(f"another command is starting or stopping lab {config.name!r}: waiting for it")
        handle = _acquire(config.name, "change", seconds=math.inf)
    with handle:
        yield


def running_elsewhere(config: LabConfig, other: Record | None) -> str:
    """Describe the lab that has the name."""
    if other is None:
        return f"a lab named {config.name!r} is just being started by another process: try again"
    return (
        f"a lab named {other.name!r} is running from {other.directory} (pid {other.pid}): "
        f"stop it there first (`python -m lab --name {other.name} --directory {other.directory} stop`), "
        "or choose another name and block"
    )


def _lock_file(name: str, purpose: str) -> Path:
    return REGISTRY / f"{name}.{purpose}.lock"


def _acquire(name: str, purpose: str, *, seconds: float) -> IO[str]:
    """Lock one of a lab's files until it is closed; BlockingIOError if another process holds it for too long."""
    path = _lock_file(name, purpose)
    deadline = time.monotonic() + seconds
    while True:
        REGISTRY.mkdir(mode=0o755, parents=True, exist_ok=True)
        try:
            handle = path.open("a")
        except FileNotFoundError:
            continue  # the last lab ended, and removed the folder
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The previous holder may have removed the file: a lock on a file without a name has no effect.
            if path.exists() and os.path.samestat(os.fstat(handle.fileno()), path.stat()):
                return handle
        except FileNotFoundError:
            pass
        except BlockingIOError:
            if time.monotonic() >= deadline:
                handle.close()
                raise
            time.sleep(0.02)
        handle.close()
