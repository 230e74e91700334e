"""A node as the API knows it: which droplet it is, what settings say of it, and its end."""

from __future__ import annotations

from model import paths
from model.addons import SYSTEM
from model.services import kubelet
from model.steps.kubectl import kubectl_step
from model.topology import HostSpec

REGISTRATION = "registration"
REMOVAL = "removal"
LABELS_ANNOTATION = "triplane/labels"
"""Keys of what settings asked for last, so that what is gone from them is told from what is an operator's own."""
TAINTS_ANNOTATION = "triplane/taints"
"""The same for taints, as `key:effect`, of which a node has no two."""
DRAIN_SECONDS = 600
ATTEMPT_SECONDS = 30
"""After which it is asked again whether the node is ready, and whether another one could take its pods."""


def script(*, host: HostSpec) -> str:
    """Give the node its labels and taints, and take away those that settings once gave it.

    A node that took another droplet's place has none of them: the droplet's id comes as a file on stdin, so that
    another one is a change of the step.
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
    """Take away a node of this name that was another droplet, before this one's kubelet takes its place.

    A kubelet says its provider id only when it registers, and the API lets nobody change one: a cloud controller
    manager would look for the addresses of a droplet that is gone, and remove the node with it. The droplet's id, which
    no preview of a new host knows, comes as a file on stdin (`model.paths.passing_droplet`).
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
    """Move the node's pods elsewhere, in bounded time, and let the API forget it."""
    return kubectl_step(
        "removal",
        name=f"{host.name}-{REMOVAL}",
        node=host.node_name,
        drain_seconds=DRAIN_SECONDS,
        attempt_seconds=ATTEMPT_SECONDS,
    )
