"""Private IPv4 ranges, and the range of all addresses."""

from __future__ import annotations

from ipaddress import IPv4Network

PRIVATE = tuple(IPv4Network(network) for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
"""RFC 1918: the addresses of private networks."""
SHARED = IPv4Network("100.64.0.0/10")
"""RFC 6598: not routed on the internet either; usable for pods and services if the private ranges are in use."""
WORLD_PREFIX = 8
"""Prefix length: a public range this wide counts as the whole internet."""


def is_world(network: IPv4Network) -> bool:
    """Tell whether opening a port to this range opens it to strangers."""
    inside = any(network.subnet_of(home) for home in (*PRIVATE, SHARED))
    return network.prefixlen <= WORLD_PREFIX and not inside
