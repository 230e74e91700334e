"""Checks of settings against each other: a setting may be valid alone and still conflict with the others."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network
from itertools import combinations

from model import addresses, digitalocean, ports, releases
from model.firewalls import ALWAYS_OUTBOUND, MOST_RULES
from model.ports import Port
from model.roles import Role
from model.topology import KUBELET_ROLES
from settings import flags, offers
from settings.mistakes import Mistake, one_of, write_one_of
from settings.schema import Mirror, Pool, Settings

ETCD_MOST_MEMBERS = 7
"""More members make every write slower, and help only if many fail at the same time (etcd's FAQ)."""
LONGEST_HOST_NAME = 64
"""Linux's HOST_NAME_MAX and X.509's limit for a common name are the same number."""
LONGEST_NODE_NAME = 63
"""A kubelet labels its node with its name (kubernetes.io/hostname)."""
POD_BLOCK_PREFIX = 24
"""flannel leases a /24 to each host."""
LEAST_API_PORT, FIRST_NODE_PORT = 1024, ports.NODE_PORTS_TCP.number
"""The API server binds no privileged port; node ports begin at 30000, and source ports of connections follow."""

_PREFIXES = {
    "vpcCidr": (digitalocean.VPC_LARGEST_PREFIX, digitalocean.VPC_SMALLEST_PREFIX, "DigitalOcean takes"),
    "podCidr": (8, POD_BLOCK_PREFIX - 2, "flannel takes"),
    "serviceCidr": (12, 28, "Kubernetes takes"),
}
"""Widest and narrowest prefix of each range, and the source of the limits. flannel needs four blocks or more in its
network, and the API server accepts at most 20 bits of services; by convention the tenth service address is DNS."""

_EXAMPLES = {"vpcCidr": "10.240.0.0/20", "podCidr": "10.200.0.0/16", "serviceCidr": "10.32.0.0/24"}

_OWN_PORTS = {port: name.replace("_", " ").lower().replace("ssh", "SSH") for name, port in ports.of_hosts().items()}
"""Ports that hosts listen on, with names for messages."""
_TAKEN_PORTS = {port.number: name for port, name in _OWN_PORTS.items() if port.protocol == "tcp"}


def disagreements(settings: Settings) -> Iterator[Mistake]:
    """All mistakes that show only when settings are compared with each other."""
    yield from _pools(settings)
    yield from _names(settings)
    yield from _addresses(settings)
    yield from _access(settings)
    yield from _openings(settings)
    yield from _flags(settings)
    yield from _lifetimes(settings)
    yield from _mirror(settings)


def _pools(settings: Settings) -> Iterator[Mistake]:
    names = [pool.name for pool in settings.pools]
    for position, pool in enumerate(settings.pools):
        where = f"triplane:pools[{position}]"
        if pool.name in names[:position]:
            yield Mistake(
                setting=f"{where}.name",
                value=pool.name,
                problem="is the name of two pools. Write another one: hosts are named after their pool.",
            )
        if problem := offers.too_small(pool, digitalocean.SIZES):
            yield Mistake(setting=f"{where}.size", value=pool.size, problem=problem)
        yield from _nodes_of(pool, where)
    members = sum(pool.count for pool in settings.pools if Role.ETCD in pool.roles)
    masters = sum(pool.count for pool in settings.pools if Role.KUBE_MASTER in pool.roles)
    if problem := _members_problem(members):
        yield Mistake(setting="triplane:pools", problem=problem)
    if masters == 0:
        problem = "has no kube-master. Write a pool with roles: [kube-master] and count: 3."
        yield Mistake(setting="triplane:pools", problem=problem)


def _nodes_of(pool: Pool, where: str) -> Iterator[Mistake]:
    """Refuse labels and taints of hosts that run no kubelet."""
    if KUBELET_ROLES.isdisjoint(pool.roles):
        for name, value in (("labels", pool.labels), ("taints", pool.taints)):
            if value:
                yield Mistake(
                    setting=f"{where}.{name}",
                    problem=f"is for Kubernetes nodes, and a pool of {one_of(pool.roles)} alone has none. Take it out.",
                )


def _members_problem(members: int) -> str | None:
    if members == 0:
        return "has no etcd member. Write a pool with roles: [etcd] and count: 3."
    if members > ETCD_MOST_MEMBERS:
        return (
            f"has {members} etcd members, and etcd works well with {ETCD_MOST_MEMBERS} at most. Write counts of 3 or 5."
        )
    if members % 2 == 0:
        return (
            f"has {members} etcd members: an even number survives no more failures than {members - 1} would. "
            f"Write counts that add up to {members - 1} or {members + 1}."
        )
    return None


def _names(settings: Settings) -> Iterator[Mistake]:
    zone = settings.zone.name
    if settings.domain != zone and not settings.domain.endswith(f".{zone}"):
        yield Mistake(
            setting="triplane:domain",
            value=settings.domain,
            problem=f"is outside the zone {zone}. Write a name that ends in .{zone}, e.g. k8s.{zone}, or another zone.",
        )
    topology = settings.topology
    for hosts, limit, what in (
        (topology.nodes, LONGEST_NODE_NAME, "Kubernetes' nodes take"),
        (topology.hosts, LONGEST_HOST_NAME, "hosts and certificates take"),
    ):
        longest = max((host.private_name for host in hosts), key=len, default="")
        if len(longest) > limit:
            yield Mistake(
                setting="triplane:domain",
                value=settings.domain,
                problem=f"makes {longest}, a name of {len(longest)} characters, where {what} {limit}. "
                f"Write a domain or pool name that is {len(longest) - limit} shorter.",
            )
            return


def _addresses(settings: Settings) -> Iterator[Mistake]:
    plan = {"vpcCidr": settings.vpc_cidr, "podCidr": settings.pod_cidr, "serviceCidr": settings.service_cidr}
    anchors = digitalocean.ANCHORS.get(settings.region)
    mistakes = {name: problem for name, network in plan.items() if (problem := _range_problem(name, network, anchors))}
    for one, other in combinations(plan, 2):
        if plan[one].overlaps(plan[other]):
            mistakes.setdefault(other, f"overlaps with {one}, {plan[one]}. Write a range outside it.")
    hosts = sum(pool.count for pool in settings.pools)
    room = settings.vpc_cidr.num_addresses - digitalocean.VPC_ADDRESSES_KEPT
    if hosts > room:
        mistakes.setdefault("vpcCidr", f"has room for {room} droplets, and there are {hosts}. Write a wider range.")
    blocks = 2 ** max(POD_BLOCK_PREFIX - settings.pod_cidr.prefixlen, 0) - 1  # flannel does not use the first one
    overlay = len(settings.topology.nodes)
    if overlay > blocks:
        mistakes.setdefault(
            "podCidr",
            f"has a /{POD_BLOCK_PREFIX} for each of {blocks} hosts, and {overlay} hosts need one. Write a wider range.",
        )
    for name, problem in mistakes.items():
        yield Mistake(setting=f"triplane:{name}", value=plan[name], problem=problem)


def _range_problem(name: str, network: IPv4Network, anchors: IPv4Network | None) -> str | None:
    """Say what is wrong with one of the three ranges alone; `anchors` is the region's range of anchor addresses."""
    widest, narrowest, who = _PREFIXES[name]
    if not widest <= network.prefixlen <= narrowest:
        return f"is a /{network.prefixlen}, and {who} /{widest} to /{narrowest}. Write one of those."
    homes = addresses.PRIVATE if name == "vpcCidr" else (*addresses.PRIVATE, addresses.SHARED)
    if not any(network.subnet_of(home) for home in homes):
        return f"is not a private range. Write one inside {one_of(map(str, homes))}."
    reserved = next((kept for kept in digitalocean.VPC_RESERVED if network.overlaps(kept)), None)
    if name == "vpcCidr" and reserved:
        return f"overlaps with {reserved}, which DigitalOcean keeps for itself. Write e.g. {_EXAMPLES[name]}."
    if anchors and network.overlaps(anchors):
        return (
            f"overlaps with {anchors}, which DigitalOcean keeps for itself in this region, on every droplet. "
            f"Write e.g. {_EXAMPLES[name]}."
        )
    return None


def _access(settings: Settings) -> Iterator[Mistake]:
    if not settings.ssh_allowed:
        yield Mistake(
            setting="triplane:sshAllowed",
            problem="is empty, and `pulumi up` sets hosts up over SSH. Write the range that you come from, "
            "e.g. [203.0.113.7/32].",
        )
    for position, network in enumerate(settings.ssh_allowed):
        if addresses.is_world(network) and not settings.allow_world_ssh:
            yield Mistake(
                setting=f"triplane:sshAllowed[{position}]",
                value=network,
                problem="opens SSH to the world. Write the range that you come from, or, if you mean it, "
                "triplane:allowWorldSsh: true.",
            )
    if settings.api_port in _TAKEN_PORTS:
        yield Mistake(
            setting="triplane:apiPort",
            value=settings.api_port,
            problem=f"is taken on the masters by {_TAKEN_PORTS[settings.api_port]}. Write e.g. 6443.",
        )
    elif not LEAST_API_PORT <= settings.api_port < FIRST_NODE_PORT:
        yield Mistake(
            setting="triplane:apiPort",
            value=settings.api_port,
            problem=f"is outside {LEAST_API_PORT} to {FIRST_NODE_PORT - 1}: the API server binds no privileged port, "
            f"and services and outgoing connections use those from {FIRST_NODE_PORT} up. Write e.g. 6443.",
        )


def _openings(settings: Settings) -> Iterator[Mistake]:
    yield from _ingress(settings)
    yield from _outbound(settings)
    for name, openings in (("ingressPorts", settings.ingress_ports), ("outboundAllowed", settings.outbound_allowed)):
        ways = [(opening.protocol, opening.ports) for opening in openings]
        for position, way in enumerate(ways):
            if way in ways[:position]:
                problem = f"has the same ports as {name}[{ways.index(way)}]. Write the ranges of both in one."
                yield Mistake(setting=f"triplane:{name}[{position}]", problem=problem)
    for wall in settings.firewalls:
        rules = len(wall.inbound) + len(wall.outbound)
        if rules > MOST_RULES:
            yield Mistake(
                setting=f"triplane:{'ingressPorts' if wall.name == 'ingress' else 'outboundAllowed'}",
                problem=f"makes {rules} rules in the firewall {wall.name}, and DigitalOcean takes {MOST_RULES}. "
                "Write ranges of ports, such as 8000-8999.",
            )


def _ingress(settings: Settings) -> Iterator[Mistake]:
    """Allow ingress ports on nodes only, and none that another setting opens or that the hosts listen on."""
    if settings.ingress_ports and not any(Role.KUBE_NODE in pool.roles for pool in settings.pools):
        yield Mistake(
            setting="triplane:ingressPorts",
            problem="is for nodes, and no pool has the role kube-node. Take it out, or write such a pool.",
        )
    for position, opening in enumerate(settings.ingress_ports):
        port = opening.port
        taken = next((why for other, why in _owned(settings) if port.covers(other)), None)
        if taken:
            where = f"triplane:ingressPorts[{position}].ports"
            yield Mistake(setting=where, value=port.range, problem=f"{taken} Write other ports.")


def _outbound(settings: Settings) -> Iterator[Mistake]:
    for position, way in enumerate(settings.outbound_allowed):
        where = f"triplane:outboundAllowed[{position}].ports"
        if way.protocol != "icmp" and way.ports is None:
            yield Mistake(setting=where, problem=f"is missing: {way.protocol} has ports. Write e.g. 25060, or all.")
        elif way.protocol == "icmp" and way.ports is not None:
            yield Mistake(setting=where, problem="is for tcp and udp, and icmp has no ports. Take it out.")
        elif way.port in ALWAYS_OUTBOUND:
            problem = "is open to everywhere without this. Take it out."
            yield Mistake(setting=where, value=way.port.range, problem=problem)


def _owned(settings: Settings) -> Iterator[tuple[Port, str]]:
    """Ports that only their own setting may open, and the reason."""
    for port in (ports.SSH, ports.SSH_BOOTSTRAP):
        yield port, f"takes in {port.range}, SSH, which triplane:sshAllowed opens."
    yield Port(number=settings.api_port), f"takes in {settings.api_port}, the API, which triplane:apiAllowed opens."
    for port in (ports.NODE_PORTS_TCP, ports.NODE_PORTS_UDP):
        yield port, f"takes in node ports ({port.range}), which triplane:nodePortsAllowed opens."
    for port, name in _OWN_PORTS.items():
        yield port, f"takes in {port.range}, {name}, which is for hosts of the cluster alone."


def _flags(settings: Settings) -> Iterator[Mistake]:
    for component, asked in settings.extra_flags.items():
        for flag, value in asked.items():
            if problem := flags.problem(component, flag, value):
                shown = None if flags.looks_secret(value) else value
                yield Mistake(setting=f"triplane:extraFlags.{component}.{flag}", value=shown, problem=problem)
        if clash := flags.clash(component, asked):
            flag, problem = clash
            yield Mistake(setting=f"triplane:extraFlags.{component}.{flag}", value=asked[flag], problem=problem)


def _lifetimes(settings: Settings) -> Iterator[Mistake]:
    ages = settings.certificates
    least = ages.leaf_hours + 2 * ages.renew_hours
    if ages.ca_hours < least:
        yield Mistake(
            setting="triplane:certificates.caHours",
            value=ages.ca_hours,
            problem=f"is less than leafHours and twice renewHours, {least}: an authority is renewed that long before "
            f"its end, for no certificate may outlive it, and must last for some runs. Write {least} or more, or fewer "
            "of the others.",
        )
    if ages.renew_hours >= ages.leaf_hours:
        yield Mistake(
            setting="triplane:certificates.renewHours",
            value=ages.renew_hours,
            problem=f"is not less than leafHours, {ages.leaf_hours}: every `up` would replace every certificate. "
            f"Write e.g. {max(ages.leaf_hours // 3, 1)}.",
        )


def _mirror(settings: Settings) -> Iterator[Mistake]:
    mirror = settings.mirror
    if mirror is None:
        return
    if mirror.url is None and mirror.registry is None:
        yield Mistake(setting="triplane:mirror", problem="names no server. Write its url, its registry, or both.")
    if mirror.url is None and mirror.digests:
        yield Mistake(
            setting="triplane:mirror.digests",
            problem="is for files of a mirror that has no url. Write triplane:mirror.url.",
        )
    yield from _digests(mirror)


def _digests(mirror: Mirror) -> Iterator[Mistake]:
    catalog = releases.load().components
    files = {file: component for component, known in catalog.items() for found in known.values() for file in found}
    for file, versions in mirror.digests.items():
        where = f"triplane:mirror.digests.{file}"
        if file not in files:
            problem = f"is not a file that Triplane installs. {write_one_of(file, sorted(files))}"
            yield Mistake(setting=where, problem=problem)
            continue
        known = releases.load().versions(files[file])
        for version in versions:
            if version not in known:
                problem = f"is for an unknown version of {files[file]}. {write_one_of(version, known)}"
                yield Mistake(setting=f'{where}["{version}"]', problem=problem)
