"""Addresses of new droplets: public ones from the lab's block, private ones from their VPC's range."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from lab.cloud.errors import unprocessable

RESERVED = tuple(IPv4Network(text) for text in ("10.229.0.0/16", "10.244.0.0/16", "10.245.0.0/16", "10.246.0.0/24"))
"""Ranges that DigitalOcean reserves in every region."""

RESERVED_IN = {
    region: IPv4Network(text)
    for region, text in {
        "nyc1": "10.10.0.0/16",
        "nyc2": "10.13.0.0/16",
        "sgp1": "10.15.0.0/16",
        "lon1": "10.16.0.0/16",
        "nyc3": "10.17.0.0/16",
        "ams3": "10.18.0.0/16",
        "fra1": "10.19.0.0/16",
        "tor1": "10.20.0.0/16",
        "sfo2": "10.46.0.0/16",
        "blr1": "10.47.0.0/16",
        "sfo3": "10.48.0.0/16",
    }.items()
}
"""Ranges of droplets' anchor addresses; DigitalOcean reserves each of them in one region (its VPC page)."""

PRIVATE = tuple(IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicNetwork:
    """Network of droplets' public addresses."""

    block: IPv4Network
    gateway: IPv4Address
    """A droplet's gateway."""
    first: IPv4Address
    """The lowest address a droplet may get; those below belong to the lab itself."""


def vpc_gateway(network: IPv4Network) -> IPv4Address:
    """Name the first address of a VPC: no droplet ever gets it."""
    return network[1]


def public_address(db: sqlite3.Connection, network: PublicNetwork) -> IPv4Address:
    """Take a free public address."""
    taken = {int(IPv4Address(row["public"])) for row in db.execute("SELECT public FROM droplets")}
    pool = range(int(network.first), int(network.block.broadcast_address))
    return _take(pool, taken, f"the lab's block {network.block}")


def private_address(db: sqlite3.Connection, vpc: str, network: IPv4Network) -> IPv4Address:
    """Take a free address of a VPC, from .2 up."""
    rows = db.execute("SELECT private FROM droplets WHERE vpc = ?", (vpc,))
    pool = range(int(vpc_gateway(network)) + 1, int(network.broadcast_address))
    return _take(pool, {int(IPv4Address(row["private"])) for row in rows}, f"VPC {vpc} ({network})")


def _take(pool: Iterable[int], taken: Collection[int], where: str) -> IPv4Address:
    """Return the lowest free address: a new droplet gets that of the last one, as it may on DigitalOcean."""
    free = next((address for address in pool if address not in taken), None)
    if free is None:
        raise unprocessable(f"no address is free in {where}: delete a droplet first")
    return IPv4Address(free)


def reserved(region: str) -> tuple[IPv4Network, ...]:
    """List the ranges that no VPC of a region may have."""
    own = RESERVED_IN.get(region)
    return RESERVED if own is None else (*RESERVED, own)


def free_range(taken: Iterable[IPv4Network], region: str) -> IPv4Network:
    """Choose a /20 for a VPC that is requested without a range."""
    used = (*taken, *reserved(region))
    # People often choose the lowest /16s by hand; DigitalOcean also chooses higher ranges.
    for first in range(int(IPv4Address("10.100.0.0")), int(IPv4Address("10.255.255.255")), 1 << 12):
        candidate = IPv4Network((first, 20))
        if not any(candidate.overlaps(other) for other in used):
            return candidate
    raise unprocessable("no /20 is free for a VPC in this account: name an ip_range")


def checked_range(text: str, taken: Iterable[tuple[str, IPv4Network]], region: str) -> IPv4Network:
    """Read a VPC's range by DigitalOcean's rules: private, /16 to /28, no overlap with others in the account."""
    try:
        network = IPv4Network(text)
    except ValueError as error:
        raise unprocessable(f"ip_range {text!r} is not a valid network in CIDR notation: {error}") from None
    if not 16 <= network.prefixlen <= 28:
        raise unprocessable(f"ip_range {network} must be between /16 and /28 in size")
    if not any(network.subnet_of(private) for private in PRIVATE):
        raise unprocessable(f"ip_range {network} is not a private range: 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16")
    for kept in reserved(region):
        if network.overlaps(kept):
            raise unprocessable(
                f"ip_range {network} overlaps with {kept}, which is reserved in {region}: choose another range"
            )
    for name, other in taken:
        if network.overlaps(other):
            raise unprocessable(
                f"This range/size overlaps with another VPC network in your account: {network} and {name} ({other}). "
                "Please choose a different range."
            )
    return network
