"""Control groups of hosts: they list and end a host's processes without a stored pid.

A host has a group in every hierarchy, and its cgroup namespace is rooted there. The host's own systemd, kubelet and
container runtime make groups below it: no other host sees them, they are accounted to this host and removed with it.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from lab.interfaces import MachineError

_MOUNTS = Path("/proc/self/mountinfo")
_CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")
"""Controllers that kubelet and container runtimes use for pods."""
_SHARES = str(10 * 1024)


def hierarchies(mountinfo: str) -> tuple[Path, ...]:
    """Find the cgroup2 mount, then every version 1 hierarchy that the machine has; each hierarchy appears once."""
    unified: dict[str, Path] = {}
    old: dict[str, Path] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        device, folder = before.split()[2], Path(before.split()[4])
        if after.startswith("cgroup2 "):
            unified.setdefault(device, folder)
        elif after.startswith("cgroup "):
            old.setdefault(device, folder)
    return (*list(unified.values())[:1], *old.values())


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
        self.roots = found
        """Mount points of the machine's hierarchies; the first is cgroup2's."""

    @property
    def folders(self) -> tuple[Path, ...]:
        """The group's folder in every hierarchy; the first is cgroup2's."""
        return self._folders

    def make(self) -> None:
        """Make the group in every hierarchy, so that processes can enter it and groups can be made below it."""
        for folder in self._folders:
            for level in [*reversed(folder.parents[: len(self._names)]), folder]:
                level.mkdir(exist_ok=True)
                _open(level)
            shares = folder.parents[len(self._names) - 1] / "cpu.shares"
            if shares.exists():
                # Version 1 weighs a group against single processes of the machine: all hosts together need more weight.
                shares.write_text(_SHARES)

    def alive(self) -> bool:
        """True if any process is left in the group."""
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
        # A running host makes and removes groups during the walk: os.walk skips those that no longer exist.
        for folder, _below, _files in os.walk(self._folders[0]):
            with contextlib.suppress(OSError):
                found += [int(line) for line in Path(folder, "cgroup.procs").read_text().split()]
        return found

    def init(self) -> int | None:
        """Find the process that has pid 1 inside the host's own pid namespace."""
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
        """Wait for the last process to end; False on a timeout."""
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
        """Remove the empty group from every hierarchy."""
        for folder in self._folders:
            if folder.is_dir():
                for below, _names, _files in os.walk(folder, topdown=False):
                    Path(below).rmdir()
            if len(self._names) == 1:
                # Only the last lab can remove the folder that all labs share.
                with contextlib.suppress(OSError):
                    folder.parent.rmdir()


def _open(folder: Path) -> None:
    """Pass the parent's resources to the group: the controllers in version 2, the CPUs of cpuset in version 1."""
    handing_down = folder.parent / "cgroup.subtree_control"
    if handing_down.exists():
        given = (folder.parent / "cgroup.controllers").read_text().split()
        handing_down.write_text(" ".join(f"+{name}" for name in _CONTROLLERS if name in given))
    elif (folder / "cpuset.cpus").exists():
        for name in ("cpuset.cpus", "cpuset.mems"):
            (folder / name).write_text((folder.parent / name).read_text())
        (folder / "cgroup.clone_children").write_text("1")
