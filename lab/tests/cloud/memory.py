"""A test double for the seam to the hosts: machines that exist in memory only.

It stands in for `lab.hosts` where the API is what is tested. What real hosts do with these calls is
tested with real hosts; here it is recorded what the API asked of them, in order.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lab.interfaces import Firewall, Machine, MachineError, Power


@dataclass
class MemoryMachines:
    """Keeps what it was told; can be made to fail, or to hang until let go."""

    machines: dict[int, Machine] = field(default_factory=dict)
    powers: dict[int, Power] = field(default_factory=dict)
    firewalls: dict[int, Firewall | None] = field(default_factory=dict)
    calls: list[tuple[str, int]] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    """Step → message: each of these raises as long as it is in here."""
    killed_in: set[str] = field(default_factory=set)
    """Steps in which the daemon is killed: the calling thread ends there and then, and writes nothing more."""
    _gates: dict[str, threading.Event] = field(default_factory=dict)

    @contextmanager
    def held(self, step: str) -> Iterator[None]:
        """Let a step hang until the block is left."""
        gate = self._gates[step] = threading.Event()
        try:
            yield
        finally:
            del self._gates[step]
            gate.set()

    def create(self, machine: Machine) -> None:
        self._enter("create", machine.id)
        self.machines[machine.id] = machine
        self.powers[machine.id] = Power.ON

    def update(self, machine: Machine) -> None:
        self._enter("update", machine.id)
        self.machines[machine.id] = machine

    def power_on(self, machine_id: int) -> None:
        self._enter("power_on", machine_id)
        self.powers[machine_id] = Power.ON

    def power_off(self, machine_id: int) -> None:
        self._enter("power_off", machine_id)
        self.powers[machine_id] = Power.OFF

    def shutdown(self, machine_id: int) -> None:
        self._enter("shutdown", machine_id)
        self.powers[machine_id] = Power.OFF

    def reboot(self, machine_id: int) -> None:
        self._enter("reboot", machine_id)
        self.powers[machine_id] = Power.ON

    def destroy(self, machine_id: int) -> None:
        self._enter("destroy", machine_id)
        self.machines.pop(machine_id, None)
        self.powers.pop(machine_id, None)

    def power(self, machine_id: int) -> Power:
        return self.powers.get(machine_id, Power.OFF)

    def set_firewalls(self, firewalls: dict[int, Firewall | None]) -> None:
        self._enter("set_firewalls", 0)
        self.firewalls = dict(firewalls)

    def _enter(self, step: str, machine_id: int) -> None:
        self.calls.append((step, machine_id))
        gate = self._gates.get(step)
        if gate is not None:
            gate.wait(30)
        if step in self.killed_in:
            raise SystemExit
        if step in self.failures:
            raise MachineError(self.failures[step])
