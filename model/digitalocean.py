"""What DigitalOcean offers: the droplet sizes, regions and images that a stack may name, and its reserved addresses.

Prices are DigitalOcean's list prices in US dollars a month (2026); they feed the documents, nothing is billed by them.
A slug that is missing here but offered there needs one more line, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

from model.roles import Role


@dataclass(frozen=True, slots=True)
class Size:
    """A droplet size."""

    vcpus: int
    memory_gib: float
    usd_a_month: int


SIZES = {
    # shared CPUs
    "s-1vcpu-512mb-10gb": Size(1, 0.5, 4),
    "s-1vcpu-1gb": Size(1, 1, 6),
    "s-1vcpu-2gb": Size(1, 2, 12),
    "s-2vcpu-2gb": Size(2, 2, 18),
    "s-2vcpu-4gb": Size(2, 4, 24),
    "s-4vcpu-8gb": Size(4, 8, 48),
    "s-8vcpu-16gb": Size(8, 16, 96),
    # shared CPUs, of one maker, with NVMe disks
    "s-1vcpu-1gb-amd": Size(1, 1, 7),
    "s-1vcpu-1gb-intel": Size(1, 1, 7),
    "s-1vcpu-2gb-amd": Size(1, 2, 14),
    "s-1vcpu-2gb-intel": Size(1, 2, 14),
    "s-2vcpu-2gb-amd": Size(2, 2, 21),
    "s-2vcpu-2gb-intel": Size(2, 2, 21),
    "s-2vcpu-4gb-amd": Size(2, 4, 28),
    "s-2vcpu-4gb-intel": Size(2, 4, 28),
    "s-4vcpu-8gb-amd": Size(4, 8, 56),
    "s-4vcpu-8gb-intel": Size(4, 8, 56),
    "s-8vcpu-16gb-amd": Size(8, 16, 112),
    "s-8vcpu-16gb-intel": Size(8, 16, 112),
    # dedicated CPUs: for compute (c), for all purposes (g), for memory (m)
    "c-2": Size(2, 4, 42),
    "c-4": Size(4, 8, 84),
    "c-8": Size(8, 16, 168),
    "c-16": Size(16, 32, 336),
    "g-2vcpu-8gb": Size(2, 8, 63),
    "g-4vcpu-16gb": Size(4, 16, 126),
    "g-8vcpu-32gb": Size(8, 32, 252),
    "m-2vcpu-16gb": Size(2, 16, 84),
    "m-4vcpu-32gb": Size(4, 32, 168),
    "m-8vcpu-64gb": Size(8, 64, 336),
}

LEAST_MEMORY_GIB = {Role.ETCD: 1, Role.KUBE_MASTER: 2, Role.KUBE_NODE: 1}
"""A role on less than this is killed for want of memory when it is first busy. At rest, what makes a host a node
(containerd, kubelet, kube-proxy, flanneld) takes 230 MiB, and the control plane 460 MiB more."""

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
"""Regions that have VPCs and take new droplets."""

IMAGES = (
    "debian-12-x64",
    "debian-13-x64",
    "ubuntu-22-04-x64",
    "ubuntu-24-04-x64",
)
"""Images with systemd, cloud-init and apt: what the host setup is written for."""

VPC_RESERVED = tuple(
    IPv4Network(network) for network in ("10.229.0.0/16", "10.244.0.0/16", "10.245.0.0/16", "10.246.0.0/24")
)
"""Ranges that DigitalOcean keeps for itself and refuses for a VPC (its documentation: "Plan your network")."""

VPC_LARGEST_PREFIX, VPC_SMALLEST_PREFIX = 16, 28
VPC_ADDRESSES_KEPT = 5
"""Addresses of a VPC that no droplet gets: network, broadcast, and a few of DigitalOcean's own."""
