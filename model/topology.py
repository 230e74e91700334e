"""The hosts of a cluster: names and roles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from itertools import groupby
from typing import Protocol

from model.ports import ETCD_CLIENT, ETCD_PEER
from model.roles import Role, role_labels, role_taints
from model.taints import Taint

INTERNAL = "internal"
"""DNS label under the domain; the names below it resolve to VPC addresses."""

KUBELET_ROLES = frozenset({Role.KUBE_MASTER, Role.KUBE_NODE})
"""Roles of hosts that are on the pod network and are Kubernetes nodes."""


class PoolLike(Protocol):
    """The part of a pool that a topology needs."""

    @property
    def name(self) -> str:
        """Name of the pool; its hosts add a number."""

    @property
    def roles(self) -> tuple[Role, ...]:
        """Roles of its hosts."""

    @property
    def count(self) -> int:
        """Number of hosts."""

    @property
    def size(self) -> str:
        """The droplets' size slug."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of its Kubernetes nodes, besides those of their roles."""

    @property
    def taints(self) -> tuple[Taint, ...]:
        """Taints of its Kubernetes nodes, besides those of their roles."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HostSpec:
    """One host."""

    name: str
    """`<pool>-<index>`, e.g. etcd-0."""
    pool: str
    fqdn: str
    """Its public name."""
    private_name: str
    """The name of its VPC address; other hosts call it by this name."""
    droplet_name: str
    roles: frozenset[Role]
    size: str
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Labels of its Kubernetes node: the pool's and its roles'."""
    taints: tuple[Taint, ...] = ()
    """Taints of its Kubernetes node: the pool's and its roles'."""

    @property
    def node_name(self) -> str:
        """Name of its Kubernetes node: the name of its VPC address, so that no certificate holds an address."""
        return self.private_name

    @property
    def on_pod_network(self) -> bool:
        """True if it is on the pod network."""
        return bool(self.roles & KUBELET_ROLES)

    @property
    def etcd_client_url(self) -> str:
        """etcd's URL for clients."""
        return etcd_client_url(self.private_name)

    @property
    def etcd_peer_url(self) -> str:
        """etcd's URL for peers."""
        return f"https://{self.private_name}:{ETCD_PEER.number}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Topology:
    """All hosts of a cluster, in the order in which they are changed."""

    cluster: str
    domain: str
    hosts: tuple[HostSpec, ...]

    @classmethod
    def of(cls, *, cluster: str, domain: str, pools: Iterable[PoolLike], droplets_as_nodes: bool = False) -> Topology:
        """Number the hosts of each pool from 0; `droplets_as_nodes` names a droplet as Kubernetes names its node."""
        private = f"{INTERNAL}.{domain}"
        hosts = tuple(
            HostSpec(
                name=f"{pool.name}-{index}",
                pool=pool.name,
                fqdn=f"{pool.name}-{index}.{domain}",
                private_name=f"{pool.name}-{index}.{private}",
                droplet_name=f"{pool.name}-{index}.{private if droplets_as_nodes else domain}",
                roles=frozenset(pool.roles),
                size=pool.size,
                labels={**pool.labels, **role_labels(pool.roles)},
                taints=(*pool.taints, *role_taints(pool.roles)),
            )
            for pool in pools
            for index in range(pool.count)
        )
        return cls(cluster=cluster, domain=domain, hosts=hosts)

    def having(self, *roles: Role) -> tuple[HostSpec, ...]:
        """The hosts with any of these roles."""
        return tuple(host for host in self.hosts if host.roles & frozenset(roles))

    @property
    def etcd(self) -> tuple[HostSpec, ...]:
        """Members of the etcd cluster."""
        return self.having(Role.ETCD)

    @property
    def masters(self) -> tuple[HostSpec, ...]:
        """Hosts of the control plane."""
        return self.having(Role.KUBE_MASTER)

    @property
    def nodes(self) -> tuple[HostSpec, ...]:
        """Hosts that are Kubernetes nodes: all that are on the pod network."""
        return self.having(*KUBELET_ROLES)

    @staticmethod
    def pools_of(hosts: Iterable[HostSpec]) -> tuple[tuple[HostSpec, ...], ...]:
        """Group hosts by their pool, in order: pools change in parallel, the hosts of a pool one after another."""
        return tuple(tuple(pool) for _, pool in groupby(hosts, key=lambda host: host.pool))

    @property
    def api_name(self) -> str:
        """The API's name for people: the masters' public addresses."""
        return f"api.{self.domain}"

    @property
    def api_private_name(self) -> str:
        """The API's name for hosts: the masters' VPC addresses."""
        return f"api.{INTERNAL}.{self.domain}"

    @property
    def etcd_client_urls(self) -> tuple[str, ...]:
        """Every member's client URL."""
        return tuple(host.etcd_client_url for host in self.etcd)

    def scoped_tag(self, role: Role) -> str:
        """The role's tag of this cluster alone: tags are account-wide, so firewalls select by this one."""
        return f"{self.cluster}-{role}"


def etcd_client_url(private_name: str) -> str:
    """URL of a member of etcd for clients."""
    return f"https://{private_name}:{ETCD_CLIENT.number}"


def api_service_address(services: IPv4Network) -> IPv4Address:
    """The service range's first address, which the API server uses for the service `kubernetes`."""
    return services[1]


def dns_service_address(services: IPv4Network) -> IPv4Address:
    """The service range's tenth address, which by convention is the cluster's DNS (kubeadm, GetDNSIP)."""
    return services[10]
