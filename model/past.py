"""The cluster as the last `up` left it, from the stack's own outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from model.roles import Role
from model.topology import HostSpec, etcd_client_url


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """The beginning of an etcd member. It stays the same as long as the host has the role."""

    founds: bool
    """True if the member may found the cluster; false if it joins one that is there."""
    former: tuple[str, ...] = ()
    """Client URLs of members that were leaving as it joined: they have the data."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PastHost:
    """A host of the last `up`; image, size and disk are the droplet's own."""

    name: str
    private_name: str
    roles: frozenset[Role]
    image: str
    size: str
    disk_gib: int
    origin: Origin | None
    """None for a host without the role `etcd`."""
    admitted: frozenset[Role] = frozenset()
    """Roles by which the firewalls know it: its own, and those that it had before."""

    @property
    def etcd_client_url(self) -> str:
        """etcd's URL for clients."""
        return etcd_client_url(self.private_name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """Hosts and settings of the last `up` whose droplets were all there."""

    exists: bool = True
    """False before the first `up`."""
    hosts: tuple[PastHost, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
    """Setting, by its name in the stack's file (`versions.etcd`) → value."""
    certificates: Mapping[str, datetime] = field(default_factory=dict)
    """Certificate → its end."""
    unreadable: str = ""
    """Reason why the outputs cannot be read. Then a cluster exists, and nothing is known about it."""

    @property
    def etcd(self) -> tuple[PastHost, ...]:
        """Members of the etcd cluster."""
        return tuple(host for host in self.hosts if Role.ETCD in host.roles)

    def may_run(self, host: HostSpec) -> bool:
        """False if the host is new for certain."""
        return bool(self.unreadable) or any(known.name == host.name for known in self.hosts)

    def admitted(self, host: HostSpec) -> frozenset[Role]:
        """Return the roles by which the firewalls know a host. They never become fewer while the host exists.

        A droplet loses a tag at the beginning of an `up`, when its services still run and others still call them: etcd
        would lose members before it has others, and clients of the API would wait for a server that is cut off.
        """
        known = {each.name: each.admitted for each in self.hosts}.get(host.name, frozenset())
        return host.roles | known

    def origin_of(self, member: HostSpec, members: Iterable[HostSpec]) -> Origin:
        """Return a member's origin; `members` are all that the settings want. Only a new stack founds a cluster."""
        known = {host.name: host.origin for host in self.hosts}.get(member.name)
        if known is not None:
            return known
        wanted = {each.name for each in members}
        former = tuple(host.etcd_client_url for host in self.etcd if host.name not in wanted)
        return Origin(founds=not self.exists, former=former)


NOTHING = Past(exists=False)
"""The past of a new stack."""


def read(outputs: Mapping[str, Any]) -> Past:
    """Read a stack's outputs; a stack without outputs is new.

    Another version of Triplane may have written them, so any shape is accepted.
    """
    if not outputs:
        return NOTHING
    try:
        hosts = tuple(
            PastHost(
                name=str(host["name"]),
                private_name=str(host["privateName"]),
                roles=frozenset(map(Role, host["roles"])),
                image=str(host["image"]),
                size=str(host["size"]),
                disk_gib=int(host["disk"]),
                origin=_origin(host["etcd"]) if Role.ETCD in host["roles"] else None,
                admitted=frozenset(map(Role, host.get("admitted", host["roles"]))),
            )
            for host in outputs["hosts"]
        )
        settings = {name: _whole(value) for name, value in dict(outputs["settings"]).items()}
        ends = {name: datetime.fromisoformat(end) for name, end in dict(outputs.get("certificates") or {}).items()}
    except KeyError as error:
        return Past(unreadable=f"they have no {error.args[0]}")
    except (TypeError, ValueError) as error:
        return Past(unreadable=str(error))
    return Past(hosts=hosts, settings=settings, certificates=ends)


def _origin(written: Mapping[str, Any]) -> Origin:
    return Origin(founds=bool(written["founds"]), former=tuple(map(str, written["former"])))


def _whole(value: object) -> object:
    """Every number of an output is a float."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
