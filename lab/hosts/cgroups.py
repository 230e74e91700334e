"""A host's processes as the kernel groups them: what runs there is known, and ended, without trusting any pid."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from lab.machines import MachineError

_MOUNTS = Path("/proc/self/mountinfo")


def hierarchies(mountinfo: str) -> tuple[Path, ...]:
    """Find the cgroup2 mount, then systemd's own version 1 hierarchy where there is one; neither controls resources."""
    unified, named = [], []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        kind, _source, options = after.split(" ", 2)
        if kind == "cgroup2":
            unified.append(Path(before.split()[4]))
        elif kind == "cgroup" and "name=systemd" in options.split(","):
            named.append(Path(before.split()[4]))
    return (*unified[:1], *named[:1])


class Group:
    """The processes of one host, or of one lab: a folder of that name in each hierarchy."""

    def __init__(self, *names: str) -> None:
        found = hierarchies(_MOUNTS.read_text())
        if not found or not (found[0] / "cgroup.controllers").exists():
            raise MachineError(
                "hosts need a cgroup2 mount (/sys/fs/cgroup, or its `unified` folder), and there is none"
            )
        self._names = names
        self._folders = tuple(root.joinpath("triplane", *names) for root in found)

    @property
    def folders(self) -> tuple[Path, ...]:
        """The group's folder in every hierarchy; the first is cgroup2's."""
        return self._folders

    def alive(self) -> bool:
        """Whether any process is left in the group."""
        try:
            events = (self._folders[0] / "cgroup.events").read_text()
        except FileNotFoundError:
            return False
        return "populated 1" in events.splitlines()

    def members(self) -> set[int]:
        """Hosts that have a group below this one."""
        names = (path.name for folder in self._folders if folder.is_dir() for path in folder.iterdir())
        return {int(name) for name in names if name.isdecimal()}

    def pids(self) -> list[int]:
        """All processes of the group and of those below it."""
        found = []
        # A running host makes and removes groups while we look: os.walk passes over what is gone.
        for folder, _below, _files in os.walk(self._folders[0]):
            with contextlib.suppress(OSError):
                found += [int(line) for line in Path(folder, "cgroup.procs").read_text().split()]
        return found

    def init(self) -> int | None:
        """Find the process that is number one inside the host's own pid namespace."""
        for pid in self.pids():
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            numbers = next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))
            if len(numbers) == 2 and numbers[1] == "1":
                return pid
        return None

    def wait_until_empty(self, seconds: float) -> bool:
        """Wait for the last process to end; False when the time is over first."""
        deadline = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def kill(self) -> None:
        """End every process of the group at once."""
        try:
            (self._folders[0] / "cgroup.kill").write_text("1")
        except FileNotFoundError:
            if not self.alive():
                return
            raise
        if not self.wait_until_empty(20):
            raise MachineError(f"processes {self.pids()} of {'/'.join(self._names)} would not end within 20 s")

    def remove(self) -> None:
        """Remove the empty group, everywhere."""
        for folder in self._folders:
            if folder.is_dir():
                for below, _names, _files in os.walk(folder, topdown=False):
                    Path(below).rmdir()
            if len(self._names) == 1:
                # Of the folder for all labs, whoever leaves last puts out the light.
                with contextlib.suppress(OSError):
                    folder.parent.rmdir()
