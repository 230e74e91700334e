"""What a host can be."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """A job of a host; its value is the tag that the host's droplet carries."""

    ETCD = "etcd"
    """A member of the etcd cluster."""
    KUBE_MASTER = "kube-master"
    """API server, controller manager, scheduler, and flannel."""
    KUBE_NODE = "kube-node"
    """On the pod network, where pods are to run; there is no kubelet yet."""
