"""DigitalOcean's offer: droplet sizes, regions, images, and reserved address ranges.

These tables are used if its API does not answer (settings/offers.py); if it does, the API's answer counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from model.roles import Role


@dataclass(frozen=True, slots=True)
class Size:
    """A droplet size: CPUs, GiB of memory, GiB of disk, and DigitalOcean's list price in US dollars a month."""

    vcpus: int
    memory_gib: float
    disk_gib: int
    usd_a_month: float


SIZES = {
    # shared CPUs
    "s-1vcpu-512mb-10gb": Size(1, 0.5, 10, 4),
    "s-1vcpu-1gb": Size(1, 1, 25, 6),
    "s-1vcpu-2gb": Size(1, 2, 50, 12),
    "s-2vcpu-2gb": Size(2, 2, 60, 18),
    "s-2vcpu-4gb": Size(2, 4, 80, 24),
    "s-4vcpu-8gb": Size(4, 8, 160, 48),
    "s-8vcpu-16gb": Size(8, 16, 320, 96),
    # shared CPUs of AMD, with NVMe disks
    "s-1vcpu-1gb-amd": Size(1, 1, 25, 7),
    "s-1vcpu-2gb-amd": Size(1, 2, 50, 14),
    "s-2vcpu-2gb-amd": Size(2, 2, 60, 21),
    "s-2vcpu-4gb-amd": Size(2, 4, 80, 28),
    "s-2vcpu-8gb-amd": Size(2, 8, 100, 42),
    "s-4vcpu-8gb-amd": Size(4, 8, 160, 56),
    "s-4vcpu-16gb-amd": Size(4, 16, 200, 84),
    "s-8vcpu-16gb-amd": Size(8, 16, 320, 112),
    "s-8vcpu-32gb-amd": Size(8, 32, 400, 168),
    # shared CPUs of Intel, with NVMe disks; only the API lists the ones without a disk in their name
    "s-1vcpu-1gb-intel": Size(1, 1, 25, 7),
    "s-1vcpu-1gb-35gb-intel": Size(1, 1, 35, 8),
    "s-1vcpu-2gb-intel": Size(1, 2, 50, 14),
    "s-1vcpu-2gb-70gb-intel": Size(1, 2, 70, 16),
    "s-2vcpu-2gb-intel": Size(2, 2, 60, 21),
    "s-2vcpu-2gb-90gb-intel": Size(2, 2, 90, 24),
    "s-2vcpu-4gb-intel": Size(2, 4, 80, 28),
    "s-2vcpu-4gb-120gb-intel": Size(2, 4, 120, 32),
    "s-2vcpu-8gb-160gb-intel": Size(2, 8, 160, 48),
    "s-4vcpu-8gb-intel": Size(4, 8, 160, 56),
    "s-4vcpu-8gb-240gb-intel": Size(4, 8, 240, 64),
    "s-4vcpu-16gb-320gb-intel": Size(4, 16, 320, 96),
    "s-8vcpu-16gb-intel": Size(8, 16, 320, 112),
    "s-8vcpu-16gb-480gb-intel": Size(8, 16, 480, 128),
    "s-8vcpu-32gb-640gb-intel": Size(8, 32, 640, 192),
    # dedicated CPUs, for compute; c2 with twice the disk
    "c-2": Size(2, 4, 25, 42),
    "c-4": Size(4, 8, 50, 84),
    "c-8": Size(8, 16, 100, 168),
    "c-16": Size(16, 32, 200, 336),
    "c2-2vcpu-4gb": Size(2, 4, 50, 47),
    "c2-4vcpu-8gb": Size(4, 8, 100, 94),
    "c2-8vcpu-16gb": Size(8, 16, 200, 188),
    "c-4-intel": Size(4, 8, 50, 109),
    "c-8-intel": Size(8, 16, 100, 218),
    "c2-4vcpu-8gb-intel": Size(4, 8, 100, 122),
    "c2-8vcpu-16gb-intel": Size(8, 16, 200, 244),
    # dedicated CPUs, for all purposes; gd with twice the disk
    "g-2vcpu-8gb": Size(2, 8, 25, 63),
    "g-4vcpu-16gb": Size(4, 16, 50, 126),
    "g-8vcpu-32gb": Size(8, 32, 100, 252),
    "gd-2vcpu-8gb": Size(2, 8, 50, 68),
    "gd-4vcpu-16gb": Size(4, 16, 100, 136),
    "gd-8vcpu-32gb": Size(8, 32, 200, 272),
    "g-2vcpu-8gb-intel": Size(2, 8, 30, 76),
    "g-4vcpu-16gb-intel": Size(4, 16, 60, 151),
    "g-8vcpu-32gb-intel": Size(8, 32, 120, 302),
    "gd-2vcpu-8gb-intel": Size(2, 8, 60, 79),
    "gd-4vcpu-16gb-intel": Size(4, 16, 120, 158),
    "gd-8vcpu-32gb-intel": Size(8, 32, 240, 317),
    # dedicated CPUs, for memory; m3 and m6 with three and six times the disk
    "m-2vcpu-16gb": Size(2, 16, 50, 84),
    "m-4vcpu-32gb": Size(4, 32, 100, 168),
    "m-8vcpu-64gb": Size(8, 64, 200, 336),
    "m3-2vcpu-16gb": Size(2, 16, 150, 104),
    "m3-4vcpu-32gb": Size(4, 32, 300, 208),
    "m3-8vcpu-64gb": Size(8, 64, 600, 416),
    "m6-2vcpu-16gb": Size(2, 16, 300, 131),
    "m6-4vcpu-32gb": Size(4, 32, 600, 262),
    "m6-8vcpu-64gb": Size(8, 64, 1200, 524),
    "m-2vcpu-16gb-intel": Size(2, 16, 50, 99),
    "m-4vcpu-32gb-intel": Size(4, 32, 100, 198),
    "m-8vcpu-64gb-intel": Size(8, 64, 200, 396),
    "m3-2vcpu-16gb-intel": Size(2, 16, 150, 110),
    "m3-4vcpu-32gb-intel": Size(4, 32, 300, 220),
    "m3-8vcpu-64gb-intel": Size(8, 64, 600, 440),
    # dedicated CPUs, for storage; so1_5 with half as much again
    "so-2vcpu-16gb": Size(2, 16, 300, 131),
    "so-4vcpu-32gb": Size(4, 32, 600, 262),
    "so-8vcpu-64gb": Size(8, 64, 1200, 524),
    "so1_5-2vcpu-16gb": Size(2, 16, 450, 163),
    "so1_5-4vcpu-32gb": Size(4, 32, 900, 326),
    "so1_5-8vcpu-64gb": Size(8, 64, 1800, 652),
    "so-2vcpu-16gb-intel": Size(2, 16, 300, 131),
    "so-4vcpu-32gb-intel": Size(4, 32, 600, 262),
    "so-8vcpu-64gb-intel": Size(8, 64, 1200, 524),
    "so1_5-2vcpu-16gb-intel": Size(2, 16, 450, 139),
    "so1_5-4vcpu-32gb-intel": Size(4, 32, 900, 278),
    "so1_5-8vcpu-64gb-intel": Size(8, 64, 1800, 556),
}
"""Sizes of up to eight CPUs (and c-16), as of 2026. Larger ones and new ones are accepted too, with a warning."""

LEAST_MEMORY_GIB = {Role.ETCD: 1, Role.KUBE_MASTER: 2, Role.KUBE_NODE: 1}
"""With less memory than this, a role is killed when it is first busy, because memory runs out. When idle, the services
of a node (containerd, kubelet, kube-proxy, flanneld) take 230 MiB, and the control plane 460 MiB more."""

REGIONS = (
    "ams3",
    "atl1",
    "blr1",
    "fra1",
    "lon1",
    "nyc1",
    "nyc2",
    "nyc3",
    "sfo2",
    "sfo3",
    "sgp1",
    "syd1",
    "tor1",
)
"""Regions that have VPCs. nyc2 and sfo2 are sometimes closed to accounts that have no resources there."""

NOT_OFFERED: Mapping[str, frozenset[str]] = {"nyc3": frozenset({"s-2vcpu-4gb"})}
"""Sizes that a region did not offer when last seen (2026-03), by region."""

IMAGES = (
    "debian-12-x64",
    "debian-13-x64",
    "ubuntu-22-04-x64",
    "ubuntu-24-04-x64",
)
"""Images with systemd, cloud-init and apt; the host setup is written for these."""

DEFAULT_IMAGE = "debian-13-x64"
"""The newest of them that all end-to-end tests run on."""

VPC_RESERVED = tuple(
    IPv4Network(network) for network in ("10.229.0.0/16", "10.244.0.0/16", "10.245.0.0/16", "10.246.0.0/24")
)
"""Ranges that DigitalOcean reserves for itself and refuses for a VPC (its documentation: "Plan your network")."""

ANCHORS = {
    region: IPv4Network(network)
    for region, network in {
        "ams3": "10.18.0.0/16",
        "blr1": "10.47.0.0/16",
        "fra1": "10.19.0.0/16",
        "lon1": "10.16.0.0/16",
        "nyc1": "10.10.0.0/16",
        "nyc2": "10.13.0.0/16",
        "nyc3": "10.17.0.0/16",
        "sfo2": "10.46.0.0/16",
        "sfo3": "10.48.0.0/16",
        "sgp1": "10.15.0.0/16",
        "tor1": "10.20.0.0/16",
    }.items()
}
"""The range that each region reserves for its droplets' anchor addresses (same source); others are not known.

A droplet has an address of it on its public interface, so the whole range is a connected route on every host: pods and
services with addresses in it could not be reached."""

VPC_LARGEST_PREFIX, VPC_SMALLEST_PREFIX = 16, 28
VPC_ADDRESSES_KEPT = 5
"""Addresses of a VPC that no droplet gets: network, broadcast, and a few of DigitalOcean's own."""
