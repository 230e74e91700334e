"""All services, for code that needs every one of them."""

from __future__ import annotations

from collections.abc import Iterator

from model.certificates import Leaf, admin
from model.cluster import Cluster
from model.secrets import leaves_in
from model.services import (
    containerd,
    etcd,
    flannel,
    kube_apiserver,
    kube_controller_manager,
    kube_proxy,
    kube_scheduler,
    kubelet,
)

SERVICES = (
    etcd,
    flannel,
    kube_apiserver,
    kube_controller_manager,
    kube_scheduler,
    containerd,
    kubelet,
    kube_proxy,
)
"""Services in the order in which they start."""


def leaves(cluster: Cluster) -> tuple[Leaf, ...]:
    """All certificates that a cluster needs: those of its services, and the administrator's."""
    return (*dict.fromkeys(_of_services(cluster)), admin())


def _of_services(cluster: Cluster) -> Iterator[Leaf]:
    for service in SERVICES:
        for host in cluster.topology.having(*service.ROLES):
            yield from leaves_in(service.secrets(cluster, host))
