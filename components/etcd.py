"""The etcd cluster."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pulumi

from components.host import Host
from components.pki import Pki
from components.rolling import one_lane, rolling
from components.services import run
from model.cluster import Cluster
from model.services import etcd


class Etcd(pulumi.ComponentResource):
    """One member per host, in a chain: each is healthy, and the cluster has quorum, before the next one is changed."""

    ready: pulumi.Resource
    """The last member's step: the whole cluster is healthy."""

    def __init__(
        self,
        name: str,
        cluster: Cluster,
        pki: Pki,
        *,
        hosts: Iterable[Host],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:etcd:Cluster", name, None, opts)
        members = tuple(hosts)

        def step(host: Host, before: Sequence[pulumi.Resource]) -> pulumi.Resource:
            new, existing = (etcd.service(cluster, host.spec, first=first) for first in (True, False))
            # A member resolves its peers' names, so all names exist before the first member starts.
            first = before or [member.ready for member in members]
            return run(host, new, cluster, pki, update=existing.script, parent=self, depends_on=first)

        self.ready = rolling(members, step, lanes=one_lane)[-1]
        self.register_outputs({})
