"""The etcd cluster."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pulumi

from components.host import Host
from components.pki import Pki
from components.rolling import one_lane, rolling
from components.services import Gates, run
from model.cluster import Cluster
from model.services import etcd


class Etcd(pulumi.ComponentResource):
    """One member per host.

    The members of a new stack found the cluster side by side. All but the last only start, for none is healthy alone,
    and the engine may run few steps at once; the last one waits until it is healthy, and with it the cluster. After the
    first `up` they stand in a chain, also those that join: each is healthy, and the cluster has quorum, before the next
    one is changed.
    """

    ready: Sequence[pulumi.Resource]
    """The members' steps: after them the whole cluster is healthy."""

    def __init__(
        self,
        name: str,
        cluster: Cluster,
        pki: Pki,
        *,
        hosts: Iterable[Host],
        uninstalls: Gates,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:etcd:Cluster", name, None, opts)
        members = tuple(hosts)

        def step(host: Host, before: Sequence[pulumi.Resource]) -> pulumi.Resource:
            new, existing = (etcd.service(cluster, host.spec, first=first) for first in (True, False))
            # Founders resolve their peers' names, so all names exist before the first one starts. Later a member waits
            # for no other host: one that is replaced comes back before the next one goes.
            hosts = [host] if cluster.past.exists else members
            return run(
                host,
                new,
                cluster,
                pki,
                update=existing.script,
                parent=self,
                depends_on=[*before, *(each.ready for each in hosts)],
            )

        if cluster.past.exists:
            self.ready = rolling(members, step, lanes=one_lane, may_run=lambda _host: True)
        else:
            *others, last = members
            founders = [step(host, ()) for host in others]
            self.ready = [*founders, step(last, founders)]
        for host, neighbour in zip(members, (*members[1:], members[0]), strict=True):
            host.farewell(
                etcd.LEAVE,
                on=neighbour,
                delete=etcd.leave_script(cluster, host.spec),
                parent=self,
                depends_on=[host.droplet],
                # Of a host that goes for good, or stays without etcd, the member has been taken out (FormerMembers).
                deleted_with=uninstalls[host.name],
            )
        self.register_outputs({})


class FormerMembers(pulumi.ComponentResource):
    """The removal of members that the settings no longer have, once their clients know the new list."""

    ready: pulumi.Resource

    def __init__(
        self,
        name: str,
        cluster: Cluster,
        *,
        host: Host,
        clients: Iterable[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:etcd:FormerMembers", name, None, opts)
        self.ready = host.step(
            "etcd-members", create=etcd.members_script(cluster, host.spec), parent=self, depends_on=clients
        )
        self.register_outputs({})
