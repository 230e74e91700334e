"""Host roles, and the node labels and taints that follow from them."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from model.taints import Taint

LABEL_PREFIX = "node-role.kubernetes.io/"
"""Prefix of the labels from which `kubectl get nodes` reads a node's roles."""
CONTROL_PLANE = f"{LABEL_PREFIX}control-plane"
NODE = f"{LABEL_PREFIX}node"


class Role(StrEnum):
    """A job of a host; its value is the tag that the host's droplet carries."""

    ETCD = "etcd"
    """A member of the etcd cluster."""
    KUBE_MASTER = "kube-master"
    """API server, controller manager, scheduler; also a Kubernetes node, with a taint that keeps other pods away."""
    KUBE_NODE = "kube-node"
    """A Kubernetes node, where pods run."""


def role_labels(roles: Collection[Role]) -> dict[str, str]:
    """Labels of a Kubernetes node that show its roles."""
    names = {Role.KUBE_MASTER: CONTROL_PLANE, Role.KUBE_NODE: NODE}
    return {label: "" for role, label in names.items() if role in roles}


def role_taints(roles: Collection[Role]) -> tuple[Taint, ...]:
    """Taint that keeps pods off a master; none if the host is a kube-node as well."""
    kept_free = Role.KUBE_MASTER in roles and Role.KUBE_NODE not in roles
    return (Taint(key=CONTROL_PLANE, effect="NoSchedule"),) if kept_free else ()
