"""Real hosts as `Machines`: each is a systemd-nspawn machine with a disk and a network of its own."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

from lab.config import LabConfig
from lab.faults import Switches
from lab.hosts import boot, commands, firewall, packages, rootfs, seed
from lab.hosts.cgroups import Group
from lab.hosts.containers import Shortfalls
from lab.hosts.network import MTU, Network
from lab.interfaces import Firewall, Machine, MachineError, Machines, Power

_BOOT_SECONDS = 30
_SHUTDOWN_SECONDS = 60
# What systemd as init understands (systemd(1), "Signals").
_POWER_OFF = signal.SIGRTMIN + 4
_REBOOT = signal.SIGRTMIN + 5


class LocalMachines(Machines):
    """The hosts of one lab.

    The data of a host is in the host's folder (`machine.json`), and the kernel tells whether the host runs. So a new
    instance takes over everything that an instance in an earlier process has started.
    """

    def __init__(self, config: LabConfig) -> None:
        self._config = config
        self._switches = Switches(config.directory)
        self._network = Network(config)
        self._machines: dict[int, Machine] = {}
        self._firewalls: Mapping[int, Firewall | None] = {}
        self._table = threading.Lock()
        self._locks: defaultdict[int, threading.RLock] = defaultdict(threading.RLock)
        for record in sorted(config.hosts.glob("*/machine.json")):
            machine = _load(record)
            self._machines[machine.id] = machine

    def known(self) -> tuple[Machine, ...]:
        """Every host that has a disk, on or off."""
        return tuple(self._machines.values())

    def traces(self) -> set[int]:
        """Every host that still has a disk, processes or a namespace."""
        folders = {int(path.name) for path in self._config.hosts.glob("*") if path.name.isdecimal()}
        return {*folders, *Group(self._config.name).members(), *self._network.host_namespaces()}

    def create(self, machine: Machine) -> None:
        """Make the disk and boot the host; returns once its init process runs."""
        root = rootfs.ensure(self._config.rootfs_dir, machine.image)
        with self._working_on(machine, "making its disk"):
            if machine.id not in self._machines:
                self._make_disk(machine, root)
                self._machines[machine.id] = machine
                self._set_table()
            self._boot(machine)

    def restore(self, machine: Machine) -> None:
        """Start a host that should run, after this lab's daemon, its network or the whole machine went down."""
        with self._working_on(machine, "restoring it"):
            group = self._group(machine.id)
            if group.alive() and not self._network.joins(machine):
                group.kill()  # its router was removed, and its wires with it
            self.create(machine)

    def update(self, machine: Machine) -> None:
        """Take a changed record: visible to the host's metadata at once."""
        with self._working_on(self._get(machine.id), "changing its record"):
            _store(self._folder(machine.id), machine)
            self._machines[machine.id] = machine

    def power_on(self, machine_id: int) -> None:
        """Boot a host that is off, with its disk as it was."""
        machine = self._get(machine_id)
        with self._working_on(machine, "booting"):
            self._boot(machine)

    def power_off(self, machine_id: int) -> None:
        """Cut the power."""
        with self._working_on(self._get(machine_id), "cutting its power"):
            self._group(machine_id).kill()
            self._network.cut(machine_id)

    def shutdown(self, machine_id: int) -> None:
        """Ask init to shut down, and cut the power after a minute."""
        with self._working_on(self._get(machine_id), "shutting down"):
            group = self._group(machine_id)
            if not self._tell_init(group, _POWER_OFF) or not group.wait_until_empty(_SHUTDOWN_SECONDS):
                group.kill()
            self._network.cut(machine_id)

    def reboot(self, machine_id: int) -> None:
        """Restart through init; a host that is off is booted. Returns once the new init process runs."""
        machine = self._get(machine_id)
        with self._working_on(machine, "rebooting"):
            group = self._group(machine_id)
            before = group.init()
            if self._tell_init(group, _REBOOT):
                deadline = time.monotonic() + _SHUTDOWN_SECONDS + self._switches.now().boot_seconds
                while group.init() in (before, None) and group.alive() and time.monotonic() < deadline:
                    time.sleep(0.05)
            if group.init() in (before, None):
                group.kill()
                self._boot(machine)

    def destroy(self, machine_id: int) -> None:
        """Remove host, disk, interfaces and namespace; a host that is not there is not an error."""
        with self._locks[machine_id]:
            group = self._group(machine_id)
            group.kill()
            self._network.cut(machine_id)
            _remove(self._folder(machine_id))
            group.remove()
            if self._machines.pop(machine_id, None) is not None:
                self._set_table()

    def power(self, machine_id: int) -> Power:
        """True if the host runs; its own `poweroff` counts too."""
        return Power.ON if self._group(machine_id).alive() else Power.OFF

    def set_firewalls(self, firewalls: dict[int, Firewall | None]) -> None:
        """Replace all rules of all machines at once; those of a future host apply from its first packet."""
        self._firewalls = dict(firewalls)
        self._set_table()

    def _set_table(self) -> None:
        with self._table:
            firewall.apply(self._config, list(self._machines.values()), self._firewalls)

    def _make_disk(self, machine: Machine, root: Path) -> None:
        folder = self._folder(machine.id)
        _remove(folder)  # half made, by a start that was interrupted
        self._config.hosts.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
        for name in ("work", "root"):
            (folder / name).mkdir(mode=0o755)
        contents = seed.files(
            machine,
            gateway=self._config.router,
            resolver=self._config.services,
            stub=(root / "etc/resolv.conf").is_symlink(),
            mtu=MTU,
            package_source=packages.source(self._config, root),
            shortfalls=Shortfalls.of_this_machine(),
        )
        seed.lay(folder / "upper", root, contents)
        (folder / "image").write_text(root.name)
        _store(folder, machine)  # last: from here on it is a host

    def _boot(self, machine: Machine) -> None:
        group = self._group(machine.id)
        if group.alive():
            return
        group.make()
        folder = self._folder(machine.id)
        log = folder / "console.log"
        for name in boot.OWN_FOLDERS:
            (folder / f"own{name}").mkdir(parents=True, exist_ok=True)
        # Rendered for every boot: the lab's directory, its cache and this code may have changed since the last one.
        late = self._switches.now().boot_seconds
        (folder / "boot").write_text(boot.script(self._config, machine, self._image_of(machine), group, late))
        keeper = subprocess.Popen(
            ["/bin/sh", str(folder / "boot")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            env=commands.environment(),
            umask=0o022,
        )
        # The control groups tell whether the host runs; the wait only keeps the script from becoming a zombie.
        threading.Thread(target=keeper.wait, name=f"keeper of {machine.id}", daemon=True).start()
        deadline = time.monotonic() + _BOOT_SECONDS
        while group.init() is None:
            if late and group.alive() and self._network.joins(machine):
                return  # it is on; its operating system starts later
            if keeper.poll() is not None or time.monotonic() > deadline:
                group.kill()
                said = " / ".join(log.read_text(errors="replace").splitlines()[-3:]) if log.exists() else "nothing"
                raise MachineError(
                    f"host {machine.name}: booting: no init process came up; it said: {said} (log: {log})"
                )
            time.sleep(0.02)

    def _image_of(self, machine: Machine) -> Path:
        """Find the image below the host's overlay: the disk cannot be used over another image."""
        name = (self._folder(machine.id) / "image").read_text()
        if name == rootfs.path(self._config.rootfs_dir, machine.image).name:
            return rootfs.ensure(self._config.rootfs_dir, machine.image)
        root = self._config.rootfs_dir / name
        if not root.is_dir():
            raise MachineError(f"its image {root} is gone: destroy this host and make it again")
        return root

    def _tell_init(self, group: Group, number: int) -> bool:
        init = group.init()
        if init is None:
            return False
        try:
            os.kill(init, number)
        except ProcessLookupError:
            return False
        return True

    def _get(self, machine_id: int) -> Machine:
        try:
            return self._machines[machine_id]
        except KeyError:
            raise MachineError(f"host {machine_id}: this lab has no such host") from None

    def _folder(self, machine_id: int) -> Path:
        return self._config.hosts / str(machine_id)

    def _group(self, machine_id: int) -> Group:
        return Group(self._config.name, str(machine_id))

    @contextmanager
    def _working_on(self, machine: Machine, step: str) -> Iterator[None]:
        """Allow one operation at a time per host; errors name host and step."""
        with self._locks[machine.id]:
            try:
                yield
            except MachineError as error:
                prefix = f"host {machine.name}: "
                raise error if str(error).startswith(prefix) else MachineError(f"{prefix}{step}: {error}") from error
            except OSError as error:
                raise MachineError(f"host {machine.name}: {step}: {_explain(error, self._config)}") from error


def _explain(error: OSError, config: LabConfig) -> str:
    if error.errno == errno.ENOSPC:
        return f"no space left under {config.directory}: make room (each host keeps its changes there) and try again"
    return f"{error.strerror} ({error.filename})"


def _remove(folder: Path) -> None:
    if folder.exists():
        # The rename removes the host in one step, so an interrupted removal leaves no half of a host.
        doomed = folder.with_name(f".{folder.name}.removed")
        if doomed.exists():
            shutil.rmtree(doomed)
        folder.rename(doomed)
        shutil.rmtree(doomed)


def _store(folder: Path, machine: Machine) -> None:
    record: dict[str, Any] = dataclasses.asdict(machine)
    record["public"] = str(machine.public)
    record["private"] = None if machine.private is None else str(machine.private)
    # User data may hold a host's private key.
    draft = folder / "machine.json.new"
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(record, indent=1))
    draft.rename(folder / "machine.json")


def _load(record: Path) -> Machine:
    values = json.loads(record.read_text())
    values["public"] = IPv4Interface(values["public"])
    values["private"] = None if values["private"] is None else IPv4Interface(values["private"])
    for name in ("public_keys", "tags"):
        values[name] = tuple(values[name])
    return Machine(**values)
