"""Rules for firewalls: allowed ports and peers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from model import ports
from model.addresses import is_world
from model.roles import Role
from policy.resource import Intent, Opening, Resource, Rule, Unknown, items

EVERYTHING = {"", "0", "all", "1-65535", "0-65535"}
"""DigitalOcean's words for all ports."""
WORLD_PREFIX_6 = 32
"""Prefix length: an IPv6 range this wide counts as the whole internet; a provider's whole range is as wide."""

SSH_PORTS = {ports.SSH.number, ports.SSH_BOOTSTRAP.number}
CLOSED_PORTS = {port.number for port in ports.of_hosts().values()} - SSH_PORTS
"""Ports that may be open to hosts of the cluster, but never to an address range."""
_KUBELET_CLIENTS = (f"-{Role.KUBE_MASTER}", f"-{Role.KUBE_NODE}")
"""Suffixes of the tags of hosts that may call kubelets: masters always, nodes if the stack allows it."""
NODE_PORTS = set(range(ports.NODE_PORTS_TCP.number, (ports.NODE_PORTS_TCP.last or 0) + 1))


def _rules(resource: Resource, direction: str) -> list[Mapping[str, Any]]:
    return [rule for rule in items(resource.get(direction)) if isinstance(rule, Mapping)]


def _covers(rule: Mapping[str, Any], numbers: set[int]) -> set[int]:
    """Return those of these ports that are in a rule's range."""
    if rule.get("protocol") == "icmp":
        return set()
    wanted = rule.get("portRange") or ""
    if wanted in EVERYTHING:
        return numbers
    first, _, last = str(wanted).partition("-")
    if not first.isdigit():
        return set()  # unknown until the update
    return {number for number in numbers if int(first) <= number <= int(last or first)}


def _is_world(address: str) -> bool:
    try:
        network = ip_network(address)
    except ValueError:
        return False  # a single address's name, or unknown until the update
    if isinstance(network, IPv4Network):
        return is_world(network)
    return network.prefixlen <= WORLD_PREFIX_6


def _ssh(resource: Resource, intent: Intent) -> Iterator[str]:
    for rule in _rules(resource, "inboundRules"):
        world = [address for address in items(rule.get("sourceAddresses")) if _is_world(str(address))]
        if world and _covers(rule, SSH_PORTS) and not intent.world_ssh:
            yield f"opens SSH to {', '.join(world)}. Narrow triplane:sshAllowed, or ask for it: allowWorldSsh."


def _closed(resource: Resource, _: Intent) -> Iterator[str]:
    for rule in _rules(resource, "inboundRules"):
        numbers = _covers(rule, CLOSED_PORTS)
        if numbers and (addresses := items(rule.get("sourceAddresses"))):
            yield f"opens {_list(numbers)} to {', '.join(map(str, addresses))}. Name tags instead."
        if numbers and not (rule.get("sourceAddresses") or rule.get("sourceTags")):
            yield f"opens {_list(numbers)} to nobody that it names. Name tags."


def _kubelets(resource: Resource, intent: Intent) -> Iterator[str]:
    for rule in _rules(resource, "inboundRules"):
        allowed = _KUBELET_CLIENTS if intent.nodes_reach_kubelets else _KUBELET_CLIENTS[:1]
        others = [tag for tag in items(rule.get("sourceTags")) if not str(tag).endswith(allowed)]
        if others and _covers(rule, {ports.KUBELET.number}) and not any(isinstance(tag, Unknown) for tag in others):
            yield (
                f"opens the kubelets' port to {', '.join(map(str, others))}: who reaches it may ask for logs and "
                "exec. Name the masters' tag alone, or ask for the nodes': triplane:nodesReachKubelets."
            )


def _node_ports(resource: Resource, intent: Intent) -> Iterator[str]:
    asked = [ip_network(network) for network in intent.node_ports]
    for rule in _rules(resource, "inboundRules"):
        if not _covers(rule, NODE_PORTS):
            continue
        for address in items(rule.get("sourceAddresses")):
            if not isinstance(address, Unknown) and not _within(str(address), asked):
                yield f"opens NodePorts to {address}, whom triplane:nodePortsAllowed does not name. Name it there."


def _ingress(resource: Resource, intent: Intent) -> Iterator[str]:
    """Find ports that are open to an address range, and are not SSH, the API, a NodePort, or in the settings."""
    known = SSH_PORTS | CLOSED_PORTS | NODE_PORTS | {intent.api_port}
    for rule in _rules(resource, "inboundRules"):
        addresses = [address for address in items(rule.get("sourceAddresses")) if not isinstance(address, Unknown)]
        if not addresses or _all_in(rule, known):
            continue
        asked: Sequence[str]
        if rule.get("protocol") == "icmp":
            what, setting, asked = "icmp", "icmpAllowed", intent.icmp
        else:
            what, setting = f"{rule.get('portRange')}/{rule.get('protocol')}", "ingressPorts"
            asked = _asked(rule, intent.ingress)
        networks = [ip_network(network) for network in asked]
        for address in addresses:
            if not _within(str(address), networks):
                yield f"opens {what} to {address}, whom triplane:{setting} does not name. Name it there."


def _outbound(resource: Resource, intent: Intent) -> Iterator[str]:
    """Find rules that open all outbound ports, if the settings do not ask for it."""
    for rule in _rules(resource, "outboundRules"):
        if rule.get("protocol") == "icmp" or (rule.get("portRange") or "") not in EVERYTHING:
            continue
        asked = [ip_network(network) for network in _asked(rule, intent.outbound)]
        addresses = items(rule.get("destinationAddresses"))
        if not addresses or not all(_within(str(address), asked) for address in addresses):
            yield (
                f"lets every {rule.get('protocol')} port through in outboundRules. Name the ports, or ask for all: "
                "triplane:outboundAllowed."
            )


def _asked(rule: Mapping[str, Any], openings: tuple[Opening, ...]) -> list[str]:
    """Ranges that the settings name for exactly these ports."""
    key = (rule.get("protocol"), rule.get("portRange"))
    return [network for each in openings if (each.protocol, each.ports) == key for network in each.ranges]


def _all_in(rule: Mapping[str, Any], numbers: set[int]) -> bool:
    """Tell whether every port of a rule is among these, which other rules check."""
    first, _, last = str(rule.get("portRange") or "").partition("-")
    return first.isdigit() and set(range(int(first), int(last or first) + 1)) <= numbers


def _within(address: str, networks: list[IPv4Network | IPv6Network]) -> bool:
    try:
        network = ip_network(address)
    except ValueError:
        return False
    return any(
        isinstance(network, IPv4Network) and isinstance(each, IPv4Network) and network.subnet_of(each)
        for each in networks
    )


def _scoped(resource: Resource, _: Intent) -> Iterator[str]:
    if not resource.get("tags"):
        yield "is on no tag, so that new hosts are open. Give it the cluster's own role tags."
    used = [("tags", resource.get("tags"))]
    for direction, peers in (("inboundRules", "sourceTags"), ("outboundRules", "destinationTags")):
        used += [(peers, rule.get(peers)) for rule in _rules(resource, direction)]
    for where, tags in used:
        for tag in sorted(set(items(tags)) & set(Role)):
            yield f"selects by {tag} in {where}, which is every cluster's in the account. Use the tag CLUSTER-{tag}."


def _named(resource: Resource, _: Intent) -> Iterator[str]:
    for rule in _rules(resource, "inboundRules"):
        if rule.get("protocol") != "icmp" and (rule.get("portRange") or "") in EVERYTHING:
            yield f"lets every {rule.get('protocol')} port through in inboundRules. Name the ports."


def _list(numbers: set[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))


RULES = (
    Rule(
        name="ssh-not-for-the-world",
        description="No firewall opens SSH to the world unless the stack asks for it.",
        types=(":Firewall",),
        check=_ssh,
    ),
    Rule(
        name="cluster-ports-by-tag",
        description="etcd, controllers, kubelets and overlay are reached by hosts of the cluster, never by address.",
        types=(":Firewall",),
        check=_closed,
    ),
    Rule(
        name="kubelets-for-masters",
        description="A kubelet's port is open to masters, whose API servers ask it, and to nodes if asked for.",
        types=(":Firewall",),
        check=_kubelets,
    ),
    Rule(
        name="node-ports-as-asked",
        description="NodePorts are open from outside to those alone whom the settings name.",
        types=(":Firewall",),
        check=_node_ports,
    ),
    Rule(
        name="open-as-asked",
        description="Any other port, and pings, are open from outside to those alone whom the settings name.",
        types=(":Firewall",),
        check=_ingress,
    ),
    Rule(
        name="firewalls-by-scoped-tag",
        description="Firewalls select by the cluster's own tags: bare role tags are shared by the whole account.",
        types=(":Firewall",),
        check=_scoped,
    ),
    Rule(
        name="ports-are-named",
        description="A firewall's inbound rules name their ports.",
        types=(":Firewall",),
        check=_named,
    ),
    Rule(
        name="outbound-as-asked",
        description="Hosts reach every port outside only where the settings say so.",
        types=(":Firewall",),
        check=_outbound,
    ),
)
