"""Every port, once: firewall rules, flags and checks all take theirs from here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Port:
    """A port that something listens on; `protocol` is tcp or udp."""

    number: int
    protocol: str = "tcp"


SSH = Port(number=22)
SSH_BOOTSTRAP = Port(number=2222)
"""The door for the first connection to a new host; nothing listens on it afterwards."""
DNS_TCP = Port(number=53)
DNS_UDP = Port(number=53, protocol="udp")
HTTP = Port(number=80)
NTP = Port(number=123, protocol="udp")
HTTPS = Port(number=443)
ETCD_CLIENT = Port(number=2379)
ETCD_PEER = Port(number=2380)
ETCD_METRICS = Port(number=2381)
"""On 127.0.0.1 only, plain HTTP."""
VXLAN = Port(number=8472, protocol="udp")
"""The Linux kernel's default for VXLAN, which flannel keeps (flannel, Documentation/backends.md)."""
CONTROLLER_MANAGER = Port(number=10257)
SCHEDULER = Port(number=10259)
FLANNEL_HEALTH = Port(number=8471)
"""On 127.0.0.1 only: flanneld's /healthz."""
