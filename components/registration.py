"""Nodes in the API: their labels and taints, and their removal."""

from __future__ import annotations

from collections.abc import Iterable

import pulumi

from components.host import Host
from components.kubectl import Kubectl
from components.services import Gates
from model.steps import registration


class Removals(pulumi.ComponentResource):
    """Removal of nodes that the settings no longer have, or that belong to an earlier droplet.

    Each removal is a resource of its own, so that a registration can be replaced without a drain. It exists before the
    kubelet, so that a node that was never ready is removed like any other.
    """

    ready: Gates
    """Steps by host: after one, the API has no node of that name from another droplet."""

    def __init__(
        self,
        name: str,
        *,
        hosts: Iterable[Host],
        kubectl: Kubectl,
        uninstalls: Gates,
        vpc: pulumi.Resource,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:kubernetes:Removals", name, None, opts)
        self.ready = {
            host.name: kubectl.farewell(
                registration.REMOVAL,
                about=host,
                create=registration.arrival(host=host.spec),
                delete=registration.removal(host=host.spec),
                parent=self,
                # A node that stays as a host is drained before its kubelet is stopped.
                depends_on=[host.ready, uninstalls[host.name]],
                # When the whole cluster is destroyed, no node needs to be drained.
                deleted_with=vpc,
            )
            for host in hosts
        }
        self.register_outputs({})


class Registrations(pulumi.ComponentResource):
    """Labels and taints of every node.

    A kubelet may neither set its own role label nor remove a label, so a step on a master does both.
    """

    ready: Gates
    """Steps by host: the node has the labels and taints of the settings."""

    def __init__(
        self,
        name: str,
        *,
        hosts: Iterable[Host],
        kubectl: Kubectl,
        nodes: Gates,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:kubernetes:Registrations", name, None, opts)
        self.ready = {
            host.name: kubectl.step(
                registration.REGISTRATION,
                about=host,
                create=registration.script(host=host.spec),
                parent=self,
                depends_on=[nodes[host.name]],
            )
            for host in hosts
        }
        self.register_outputs({})
