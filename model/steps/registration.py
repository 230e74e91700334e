"""A node as the API knows it: what settings say of it, and its end."""

from __future__ import annotations

from shlex import quote

from model.objects import as_yaml
from model.steps.kubectl import kubectl_step
from model.topology import Node

REGISTRATION = "registration"
REMOVAL = "removal"
TAINTS_ANNOTATION = "triplane/taints"
"""The taints that settings asked for last, so that one that is gone from them is told from an operator's own."""
DRAIN_SECONDS = 600


def script(*, node: Node) -> str:
    """Give the node its labels and taints, and take away those that settings once gave it."""
    return kubectl_step(
        "registration",
        name=f"{node.name}-{REGISTRATION}",
        node=node.node_name,
        taints=" ".join(quote(str(taint)) for taint in node.taints),
        ids=" ".join(f"{taint.key}:{taint.effect}" for taint in node.taints),
        annotation=TAINTS_ANNOTATION,
        manifest=as_yaml(
            [
                {
                    "apiVersion": "v1",
                    "kind": "Node",
                    "metadata": {
                        "name": node.node_name,
                        "labels": dict(node.labels),
                        "annotations": {TAINTS_ANNOTATION: ",".join(map(str, node.taints))},
                    },
                }
            ]
        ),
    )


def removal(*, node: Node) -> str:
    """Move the node's pods elsewhere, in bounded time, and let the API forget it."""
    return kubectl_step("removal", name=f"{node.name}-{REMOVAL}", node=node.node_name, drain_seconds=DRAIN_SECONDS)
