"""A node as the API knows it: what settings say of it, and its end."""

from __future__ import annotations

from model.steps.kubectl import kubectl_step
from model.topology import Node

REGISTRATION = "registration"
REMOVAL = "removal"
LABELS_ANNOTATION = "triplane/labels"
"""Keys of what settings asked for last, so that what is gone from them is told from what is an operator's own."""
TAINTS_ANNOTATION = "triplane/taints"
"""The same for taints, as `key:effect`, of which a node has no two."""
DRAIN_SECONDS = 600
ATTEMPT_SECONDS = 30
"""After which it is asked again whether the node is ready, and whether another one could take its pods."""


def script(*, node: Node) -> str:
    """Give the node its labels and taints, and take away those that settings once gave it."""
    return kubectl_step(
        "registration",
        name=f"{node.name}-{REGISTRATION}",
        node=node.node_name,
        labels=node.labels,
        labels_annotation=LABELS_ANNOTATION,
        taints={f"{taint.key}:{taint.effect}": taint for taint in node.taints},
        taints_annotation=TAINTS_ANNOTATION,
    )


def removal(*, node: Node) -> str:
    """Move the node's pods elsewhere, in bounded time, and let the API forget it."""
    return kubectl_step(
        "removal",
        name=f"{node.name}-{REMOVAL}",
        node=node.node_name,
        drain_seconds=DRAIN_SECONDS,
        attempt_seconds=ATTEMPT_SECONDS,
    )
