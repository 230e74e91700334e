"""Nodes as the API knows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pulumi

from components.host import Host
from components.kubectl import Kubectl
from model.steps import registration


class Registrations(pulumi.ComponentResource):
    """Labels and taints of every node, and what becomes of a node that settings have no more.

    A kubelet may not label itself with its role, nor take a label away: so both are asked for on a master.
    """

    ready: Mapping[str, pulumi.Resource]
    """By the node's name: it is there, with the labels and taints that settings ask for."""

    def __init__(
        self,
        name: str,
        *,
        hosts: Iterable[Host],
        kubectl: Kubectl,
        nodes: Mapping[str, pulumi.Resource],
        vpc: pulumi.Resource,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:kubernetes:Registrations", name, None, opts)
        ready: dict[str, pulumi.Resource] = {}
        for host in hosts:
            node = host.node
            ready[node.name] = kubectl.step(
                registration.REGISTRATION,
                about=node,
                create=registration.script(node=node),
                parent=self,
                depends_on=[nodes[node.name]],
            )
            # A resource of its own, so that a registration may be replaced without the node being drained; and there
            # as soon as the host is, so that a node that never came to be ready is taken away like any other.
            kubectl.step(
                registration.REMOVAL,
                about=node,
                delete=registration.removal(node=node),
                parent=self,
                depends_on=[host.ready],
                # Where everything goes there is nobody left to drain a node for.
                deleted_with=vpc,
            )
        self.ready = ready
        self.register_outputs({})
