"""The lab's network: one router namespace between all hosts and this machine, and one wire per interface of a host.

Addresses are routed, not bridged: the router answers ARP for every address that is on-link at the provider. So the
kernel's connection tracking sees every packet between two hosts, and one table there has firewalls and isolation.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any, TypeVar

from lab.config import LabConfig
from lab.hosts.commands import run
from lab.interfaces import Machine, MachineError

MTU = 1500
METADATA = IPv4Address("169.254.169.254")
NAMESPACES = Path("/run/netns")

_CLONE_NEWNET = 0x40000000
_OWNER_PREFIX = "triplane lab of "

_T = TypeVar("_T")

# Interfaces made later inherit these.
_ROUTER_SETTINGS = {
    "ipv6/conf/all/disable_ipv6": "1",
    "ipv6/conf/default/disable_ipv6": "1",
    "ipv4/ip_forward": "1",
    "ipv4/conf/default/proxy_arp": "1",
    "ipv4/conf/default/send_redirects": "0",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/rp_filter": "1",
    "ipv4/conf/all/rp_filter": "1",
    "netfilter/nf_conntrack_max": "262144",
}
# Not inherited. The kernel waits up to 0.8 s before it answers ARP for another host, which delays every first packet.
WIRE_SETTINGS = {"ipv4/neigh/{wire}/proxy_delay": "0"}
HOST_SETTINGS = {
    "ipv6/conf/all/disable_ipv6": "1",
    "ipv6/conf/default/disable_ipv6": "1",
}


@dataclass(frozen=True, slots=True)
class Wires:
    """A host's interfaces as the router sees them."""

    public: str
    private: str

    @classmethod
    def of(cls, machine_id: int) -> Wires:
        """Name the wires of one host: `p` and `v` (for VPC), then its id."""
        return cls(f"p{machine_id}", f"v{machine_id}")


class Network:
    """The router of one lab, and its uplink to this machine."""

    def __init__(self, config: LabConfig) -> None:
        self._config = config

    def up(self) -> None:
        """Make the router and its uplink, or take over those of an earlier start of this lab."""
        config = self._config
        self._refuse_what_is_taken()
        router = config.router_namespace
        if not namespace_lives(router):
            _remove_namespace(router)
            run("making the lab's router", "ip", "netns", "add", router)
        inside(router, lambda: write_settings(_ROUTER_SETTINGS))
        if self._uplink() is None or not _exists(router, "uplink"):
            self._remove_uplink()
            uplink = f"link add {config.uplink} mtu {MTU} type veth peer name uplink netns {router}"
            run("laying the lab's uplink (a veth pair)", "ip", *uplink.split())
            alias = f"{_OWNER_PREFIX}{config.directory}"
            run("laying the lab's uplink", "ip", "link", "set", config.uplink, "alias", alias)
        inside(router, lambda: write_settings({name.format(wire="uplink"): at for name, at in WIRE_SETTINGS.items()}))
        # No IPv6 on this interface either: it would carry only link-local traffic.
        write_settings({f"ipv6/conf/{config.uplink}/disable_ipv6": "1"})
        service = f"{config.services}/{config.block.prefixlen}"
        run("laying the lab's uplink", "ip", "address", "replace", service, "dev", config.uplink)
        run("laying the lab's uplink", "ip", "link", "set", config.uplink, "up")
        inside_router = "\n".join(
            [
                "link set lo up",
                f"address replace {METADATA}/32 dev lo",
                f"address replace {config.router}/32 dev uplink",
                "link set uplink up",
                f"route replace {config.services}/32 dev uplink src {config.router}",
            ]
        )
        run("laying the lab's router", "ip", "-netns", router, "-batch", "-", stdin=inside_router)

    def down(self) -> None:
        """Remove router and uplink: with them go all wires, routes, rules and tracked connections."""
        self._remove_uplink()
        _remove_namespace(self._config.router_namespace)

    def host_namespaces(self) -> dict[int, str]:
        """Namespaces of this lab's hosts that exist, by host."""
        prefix = self._config.host_namespace(0).removesuffix("0")
        names = [path.name for path in NAMESPACES.glob(f"{prefix}*")] if NAMESPACES.is_dir() else []
        return {int(name.removeprefix(prefix)): name for name in names if name.removeprefix(prefix).isdecimal()}

    def joins(self, machine: Machine) -> bool:
        """True if all of a host's interfaces are there."""
        router = self._config.router_namespace
        return all(_exists(router, wire) for wire, _name, _address in interfaces(machine))

    def cut(self, machine_id: int) -> None:
        """Remove a host's wires, then its namespace, which the kernel removes some time later."""
        router = self._config.router_namespace
        if namespace_lives(router):
            for wire in (Wires.of(machine_id).public, Wires.of(machine_id).private):
                _remove_wire(router, wire)
        _remove_namespace(self._config.host_namespace(machine_id))

    def _uplink(self) -> dict[str, Any] | None:
        for link in _json("ip", "-json", "-details", "link", "show"):
            if link["ifname"] == self._config.uplink:
                return dict(link)
        return None

    def _remove_uplink(self) -> None:
        link = self._uplink()
        if link is not None and str(link.get("ifalias", "")).startswith(_OWNER_PREFIX):
            run("removing the lab's uplink", "ip", "link", "delete", self._config.uplink)

    def _refuse_what_is_taken(self) -> None:
        config = self._config
        link = self._uplink()
        if link is not None and not str(link.get("ifalias", "")).startswith(_OWNER_PREFIX):
            raise MachineError(
                f"the interface {config.uplink} exists and is not the lab's: "
                "rename it, or start the lab under another name"
            )
        for route in _json("ip", "-json", "route", "show", "table", "all"):
            network = str(route.get("dst", "default"))
            if network == "default" or route.get("dev") == config.uplink or ":" in network:
                continue
            if IPv4Network(network, strict=False).overlaps(config.block):
                raise MachineError(
                    f"the lab's block {config.block} is taken: this machine reaches {network} through "
                    f"{route.get('dev', 'another route')}; start the lab with another block"
                )


def wiring(config: LabConfig, machine: Machine) -> tuple[str, ...]:
    """List the `ip` commands, in order, that join a host's fresh namespace to the router."""
    namespace = config.host_namespace(machine.id)
    commands = []
    for wire, name, address in interfaces(machine):
        end = f"address {mac(machine.id, name)} mtu {MTU} netns {namespace}"
        commands += [
            f"link add {wire} mtu {MTU} type veth peer name {name} {end}",
            f"link set {wire} up",
            f"route replace {address.ip}/32 dev {wire} src {config.router}",
        ]
    return tuple(commands)


def interfaces(machine: Machine) -> tuple[tuple[str, str, IPv4Interface], ...]:
    """List a host's interfaces: the wire's name at the router, its name inside the host, the address."""
    wires = Wires.of(machine.id)
    public = ((wires.public, "eth0", machine.public),)
    return public if machine.private is None else (*public, (wires.private, "eth1", machine.private))


def mac(machine_id: int, interface: str) -> str:
    """Return the hardware address of a host's interface, the same at every boot."""
    number = {"eth0": 0x020000000000, "eth1": 0x020100000000}[interface] + machine_id
    return ":".join(f"{number:012x}"[place : place + 2] for place in range(0, 12, 2))


def namespace_lives(name: str) -> bool:
    """True if the name is a network namespace; after a crash it may be an empty file."""
    path = NAMESPACES / name
    try:
        return path.stat().st_dev != NAMESPACES.stat().st_dev
    except FileNotFoundError:
        return False


def inside(namespace: str, action: Callable[[], _T]) -> _T:
    """Run `action` on a thread of its own inside a network namespace; sockets made there stay there."""
    results: list[_T] = []
    failures: list[BaseException] = []

    def act() -> None:
        try:
            handle = os.open(NAMESPACES / namespace, os.O_RDONLY | os.O_CLOEXEC)
            try:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(handle, _CLONE_NEWNET) != 0:
                    code = ctypes.get_errno()
                    raise OSError(code, os.strerror(code), namespace)
            finally:
                os.close(handle)
            results.append(action())
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread as it is
            failures.append(error)

    thread = threading.Thread(target=act, name=f"inside {namespace}")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


def listener(namespace: str, address: IPv4Address, port: int) -> socket.socket:
    """Open a TCP socket that listens inside a namespace and is served from anywhere."""
    return inside(namespace, lambda: socket.create_server((str(address), port), backlog=128))


def write_settings(settings: dict[str, str]) -> None:
    """Set kernel settings of the calling thread's own network namespace."""
    for name, value in settings.items():
        path = Path("/proc/sys/net") / name
        # Opened by the thread itself: /proc/sys/net shows the namespace of the thread that opens it.
        if path.exists() and path.read_text().strip() != value:
            path.write_text(value)


def _exists(namespace: str, interface: str) -> bool:
    links = _json("ip", "-json", "-netns", namespace, "link", "show")
    return any(link["ifname"] == interface for link in links)


def _remove_wire(router: str, wire: str) -> None:
    if _exists(router, wire):
        try:
            run(f"cutting {wire}", "ip", "-netns", router, "link", "delete", wire)
        except MachineError:
            # The kernel may have removed it already, together with its namespace.
            if _exists(router, wire):
                raise


def _remove_namespace(name: str) -> None:
    if namespace_lives(name):
        run(f"removing the namespace {name}", "ip", "netns", "delete", name)
    (NAMESPACES / name).unlink(missing_ok=True)


def _json(*argv: str) -> list[dict[str, Any]]:
    return list(json.loads(run("looking at this machine's network", *argv) or "[]"))
