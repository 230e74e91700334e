"""All cloud firewalls of a lab as one nftables table in its router: outside the hosts, replaced in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, collapse_addresses
from itertools import permutations

from lab.config import API_PORT, DNS_PORT, MIRROR_PORT, PACKAGES_PORT, LabConfig
from lab.hosts.commands import run
from lab.hosts.network import METADATA, Wires
from lab.interfaces import Firewall, Machine, Rule

_EVERYWHERE = IPv4Network("0.0.0.0/0")


def apply(config: LabConfig, machines: Iterable[Machine], firewalls: Mapping[int, Firewall | None]) -> None:
    """Replace the whole table: every packet meets either the old rules or the new ones."""
    table = render(config, machines, firewalls)
    run(
        "setting the firewalls (nf_tables)",
        "ip",
        "netns",
        "exec",
        config.router_namespace,
        "nft",
        "-f",
        "-",
        stdin=table,
    )


def render(config: LabConfig, machines: Iterable[Machine], firewalls: Mapping[int, Firewall | None]) -> str:
    """Render the table. The function is pure, so that a golden file can show the table.

    A packet between hosts passes the sender's outbound and the receiver's inbound rules. Replies to an admitted flow
    pass; packets in a flow's own direction meet the rules every time, so that a removed rule ends
    at once the flows that it admitted.
    """
    machines = sorted(machines, key=lambda machine: machine.id)
    walled = [(machine, wall) for machine in machines if (wall := firewalls.get(machine.id)) is not None]
    services = f"ip daddr {config.services}"
    lines = [
        "table inet triplane",
        "delete table inet triplane",
        "table inet triplane {",
        # The addresses that each wire may use: a host cannot use another host's address.
        *_map("identity", "ifname . ipv4_addr", _identities(machines)),
        # A private wire reaches the private wires of its own VPC only.
        *_map("neighbours", "ifname . ifname", _neighbours(machines)),
        "    chain outbound {",
        *_jumps("iifname", "out", walled),
        "    }",
        "    chain inbound {",
        *_jumps("oifname", "in", walled),
        "    }",
        "    chain forward {",
        "        type filter hook forward priority filter; policy drop;",
        '        iifname != "uplink" iifname . ip saddr != @identity drop',
        '        oifname != "uplink" oifname . ip daddr != @identity drop',
        "        ct state invalid drop",
        "        ct state related accept",
        "        ct state established ct direction reply accept",
        '        iifname "v*" iifname . oifname != @neighbours drop',
        '        iifname != "v*" oifname "v*" drop',
        '        oifname "uplink" jump services',
        "        jump outbound",
        "        jump inbound",
        "        accept",
        "    }",
        # On this machine, hosts reach the lab's services and nothing else.
        "    chain services {",
        f"        {services} meta l4proto icmp return",
        f"        {services} udp dport {DNS_PORT} return",
        f"        {services} tcp dport {{ {DNS_PORT}, {PACKAGES_PORT}, {API_PORT}, {MIRROR_PORT} }} return",
        "        drop",
        "    }",
        # The router itself answers metadata requests on public wires, whatever the cloud firewalls say, and pings.
        "    chain input {",
        "        type filter hook input priority filter; policy drop;",
        '        iifname { "lo", "uplink" } accept',
        "        iifname . ip saddr != @identity drop",
        f'        iifname "p*" ip daddr {METADATA} tcp dport 80 accept',
        "        ct state established,related accept",
        "        meta l4proto icmp accept",
        "    }",
    ]
    for machine, wall in walled:
        lines += _chain(f"in-{machine.id}", "saddr", wall.inbound)
        lines += _chain(f"out-{machine.id}", "daddr", wall.outbound)
    return "\n".join([*lines, "}", ""])


def _identities(machines: Iterable[Machine]) -> list[str]:
    pairs = []
    for machine in machines:
        wires = Wires.of(machine.id)
        pairs.append(f'"{wires.public}" . {machine.public.ip}')
        if machine.private is not None:
            pairs.append(f'"{wires.private}" . {machine.private.ip}')
    return pairs


def _neighbours(machines: Iterable[Machine]) -> list[str]:
    rooms: dict[str, list[str]] = {}
    for machine in machines:
        if machine.private is not None:
            rooms.setdefault(str(machine.vpc), []).append(Wires.of(machine.id).private)
    return [f'"{one}" . "{other}"' for wires in rooms.values() for one, other in permutations(wires, 2)]


def _map(name: str, kind: str, elements: list[str]) -> list[str]:
    lines = [f"    set {name} {{", f"        type {kind};"]
    if elements:
        lines += ["        elements = {", *(f"            {element}," for element in elements), "        }"]
    return [*lines, "    }"]


def _jumps(direction: str, prefix: str, walled: list[tuple[Machine, Firewall]]) -> list[str]:
    lines = []
    for machine, _wall in walled:
        wires = Wires.of(machine.id)
        lines.append(f'        {direction} {{ "{wires.public}", "{wires.private}" }} jump {prefix}-{machine.id}')
    return lines


def _chain(name: str, side: str, rules: tuple[Rule, ...]) -> list[str]:
    return [
        f"    chain {name} {{",
        *(f"        {_allow(rule, side)}" for rule in rules if rule.peers),
        "        drop",
        "    }",
    ]


def _allow(rule: Rule, side: str) -> str:
    peers = "" if _EVERYWHERE in rule.peers else f"ip {side} {{ {', '.join(map(str, _collapse(rule.peers)))} }} "
    if rule.protocol == "icmp":
        return f"{peers}meta l4proto icmp return"
    if rule.ports is None or rule.ports == (0, 65535):
        return f"{peers}meta l4proto {rule.protocol} return"
    first, last = rule.ports
    return f"{peers}{rule.protocol} dport {first if first == last else f'{first}-{last}'} return"


def _collapse(networks: tuple[IPv4Network, ...]) -> list[IPv4Network]:
    return list(collapse_addresses(networks))
