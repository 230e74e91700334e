"""The interface between the lab's API (`lab.cloud`) and its hosts (`lab.hosts`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """All that is needed to make one host; `id` is the droplet's id and unique for the life of a lab."""

    id: int
    name: str
    image: str
    region: str
    size: str
    public: IPv4Interface
    private: IPv4Interface | None
    """The VPC address with the VPC's prefix length, e.g. 10.10.0.4/20; None outside a VPC."""
    vpc: str | None
    public_keys: tuple[str, ...]
    user_data: str
    tags: tuple[str, ...] = ()


class Power(StrEnum):
    """State of a machine's process, whatever the API last asked for."""

    ON = "on"
    OFF = "off"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One allowance of a cloud firewall, resolved: tags and droplet ids are already replaced by addresses."""

    protocol: str
    """tcp, udp or icmp."""
    ports: tuple[int, int] | None
    """First and last port, inclusive; None means all ports (and always for icmp)."""
    peers: tuple[IPv4Network, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Firewall:
    """The sum of all cloud firewalls on one machine: what is not allowed is dropped, both ways."""

    inbound: tuple[Rule, ...]
    outbound: tuple[Rule, ...]


class MachineError(Exception):
    """A host could not be made or moved to another state; the message names host, step and remedy."""


class Machines(Protocol):
    """Real hosts. Every call is synchronous, idempotent, and may be made from any thread."""

    def create(self, machine: Machine) -> None:
        """Make the disk and boot the host; returns once its init process runs, or will run after `boot_seconds`."""

    def update(self, machine: Machine) -> None:
        """Take a changed record (name, size, tags): visible to the host's metadata at once."""

    def power_on(self, machine_id: int) -> None:
        """Boot a host that is off, with its disk as it was."""

    def power_off(self, machine_id: int) -> None:
        """Cut the power: services on the host cannot shut down cleanly."""

    def shutdown(self, machine_id: int) -> None:
        """Ask init to shut down and wait until it has; falls back to power_off after a minute."""

    def reboot(self, machine_id: int) -> None:
        """Restart through init."""

    def destroy(self, machine_id: int) -> None:
        """Remove host, disk, interfaces and namespace; nothing is left."""

    def power(self, machine_id: int) -> Power:
        """True if the host's init process runs."""

    def set_firewalls(self, firewalls: dict[int, Firewall | None]) -> None:
        """Replace all rules of all machines in one kernel transaction; None leaves a machine open."""


class Records(Protocol):
    """Source of the lab's name server (`lab.cloud` implements it)."""

    def addresses(self, name: str) -> tuple[IPv4Address, ...] | None:
        """The A records of a lower-case name without trailing dot; None where no lab zone knows the name."""

    def version(self) -> int | None:
        """A number that changes when an answer may have changed; None while answers also depend on the time."""

    def zones(self) -> tuple[str, ...]:
        """Names this server is authoritative for; all else is forwarded to the machine's own resolvers."""
