"""Every port, defined once: firewall rules, flags and checks take their ports from here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Port:
    """A port that a program listens on, or the first port of a range; `protocol` is tcp or udp."""

    number: int
    last: int | None = None
    """Last port of a range, inclusive."""
    protocol: str = "tcp"
    on: Literal["host", "pod", "elsewhere"] = field(default="host", compare=False)
    """Owner of the port: a host of this cluster, a pod, or a server elsewhere."""

    @property
    def range(self) -> str:
        """`22`, `30000-32767` or `all`, as flags and DigitalOcean's firewalls write it."""
        if (self.number, self.last) == (LEAST, MOST):
            return "all"  # the API turns 1-65535 into this, and a refresh would find a difference
        return str(self.number) if self.last is None else f"{self.number}-{self.last}"

    def covers(self, other: Port) -> bool:
        """True if it shares a port with another one."""
        return (
            self.protocol == other.protocol
            and self.number <= (other.last or other.number)
            and other.number <= (self.last or self.number)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Icmp:
    """ICMP, such as pings: a protocol that has no ports."""

    protocol: str = "icmp"
    range: None = None


ICMP = Icmp()
LEAST, MOST = 1, 65_535
"""Lowest and highest port number."""


SSH = Port(number=22)
SSH_BOOTSTRAP = Port(number=2222)
"""Bootstrap port, for the first connection to a new host; nothing listens on it afterwards."""
DNS_TCP = Port(number=53, on="elsewhere")
DNS_UDP = Port(number=53, protocol="udp", on="elsewhere")
HTTP = Port(number=80, on="elsewhere")
NTP = Port(number=123, protocol="udp", on="elsewhere")
HTTPS = Port(number=443, on="elsewhere")
ETCD_CLIENT = Port(number=2379)
ETCD_PEER = Port(number=2380)
ETCD_METRICS = Port(number=2381)
"""On 127.0.0.1 only, plain HTTP."""
ETCD_HTTP = Port(number=2382)
"""On 127.0.0.1 only, for certificates of etcd's clients: /version and /health. Clients of etcd speak gRPC."""
VXLAN = Port(number=8472, protocol="udp")
"""The Linux kernel's default for VXLAN, which flannel keeps (flannel, Documentation/backends.md)."""
CONTROLLER_MANAGER = Port(number=10257)
SCHEDULER = Port(number=10259)
FLANNEL_HEALTH = Port(number=8471)
"""On 127.0.0.1 only: flanneld's /healthz."""
KUBELET = Port(number=10250)
KUBELET_HEALTH = Port(number=10248)
"""On 127.0.0.1 only, plain HTTP."""
KUBE_PROXY_METRICS = Port(number=10249)
"""On 127.0.0.1 only, plain HTTP."""
KUBE_PROXY_HEALTH = Port(number=10256)
"""Plain HTTP; on 127.0.0.1 only, unless load balancers of a cloud controller manager call it."""
NODE_PORTS_TCP = Port(number=30_000, last=32_767)
"""Ports of NodePort services on every node: Kubernetes' default."""
NODE_PORTS_UDP = Port(number=30_000, last=32_767, protocol="udp")
COREDNS_HEALTH = Port(number=8080, on="pod")
"""The liveness probe; this port and the next two are on the pod's own address."""
COREDNS_READY = Port(number=8181, on="pod")
COREDNS_METRICS = Port(number=9153, on="pod")
"""Prometheus metrics."""


def of_hosts() -> dict[str, Port]:
    """Name → port, for each single port that a program on a host of the cluster listens on."""
    return {
        name: port
        for name, port in globals().items()
        if isinstance(port, Port) and port.last is None and port.on == "host"
    }
