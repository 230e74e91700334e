"""A node in the API: its droplet, its labels and taints, and its removal."""

from __future__ import annotations

from model import paths
from model.addons import SYSTEM
from model.services import kubelet
from model.steps.kubectl import kubectl_step
from model.topology import HostSpec

REGISTRATION = "registration"
REMOVAL = "removal"
LABELS_ANNOTATION = "triplane/labels"
"""Annotation with the keys of the last settings' labels: an operator's own labels are not in it, and stay."""
TAINTS_ANNOTATION = "triplane/taints"
"""The same for taints, as `key:effect`, which is unique on a node."""
DRAIN_SECONDS = 600
ATTEMPT_SECONDS = 30
"""Time limit of one drain attempt; then the step checks again if the node is ready and another can take its pods."""


def script(*, host: HostSpec) -> str:
    """Give the node its labels and taints, and remove those that only earlier settings gave it.

    The node of a new droplet has none of them. The droplet's id comes as a file on stdin, so that a new droplet
    changes the step.
    """
    name = f"{host.name}-{REGISTRATION}"
    return kubectl_step(
        "registration",
        name=name,
        provider=kubelet.PROVIDER,
        droplet=paths.passing_droplet(name),
        node=host.node_name,
        labels=host.labels,
        labels_annotation=LABELS_ANNOTATION,
        taints={f"{taint.key}:{taint.effect}": taint for taint in host.taints},
        taints_annotation=TAINTS_ANNOTATION,
    )


def arrival(*, host: HostSpec) -> str:
    """Remove a node of this name that belongs to another droplet, before this droplet's kubelet registers.

    A kubelet sets its provider id only when it registers, and the API does not let it be changed. With the old id, a
    cloud controller manager would look for a droplet that does not exist any more, and remove the node. The droplet's
    id, which no preview of a new host knows, comes as a file on stdin (`model.paths.passing_droplet`).
    """
    name = f"{host.name}-{REMOVAL}"
    return kubectl_step(
        "arrival",
        name=name,
        node=host.node_name,
        provider=kubelet.PROVIDER,
        droplet=paths.passing_droplet(name),
        system=SYSTEM,
    )


def removal(*, host: HostSpec) -> str:
    """Drain the node within a time limit, and delete it from the API."""
    return kubectl_step(
        "removal",
        name=f"{host.name}-{REMOVAL}",
        node=host.node_name,
        system=SYSTEM,
        drain_seconds=DRAIN_SECONDS,
        attempt_seconds=ATTEMPT_SECONDS,
    )
