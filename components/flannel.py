"""The pod network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pulumi

from components.host import Host
from components.pki import Pki
from components.rolling import one_lane, rolling
from components.services import Gates, by_host, may_run, run
from model.cluster import Cluster
from model.services import flannel
from model.services.etcd import origin


class Flannel(pulumi.ComponentResource):
    """The network's configuration in etcd, and flanneld on every master and node."""

    ready: Gates
    """Steps by host: the host has its subnet lease."""

    def __init__(
        self,
        name: str,
        cluster: Cluster,
        pki: Pki,
        *,
        hosts: Iterable[Host],
        etcd_host: Host,
        etcd: Iterable[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:flannel:Network", name, None, opts)
        # Only an etcd that was founded in this `up` is empty. Any other one that is empty is the wrong one.
        founded = origin(cluster, etcd_host.spec).founds
        network = etcd_host.step(
            "flannel-network",
            create=flannel.network_script(cluster, first=founded),
            update=flannel.network_script(cluster, first=False),
            parent=self,
            depends_on=etcd,
        )
        hosts = tuple(hosts)

        def step(host: Host, before: Sequence[pulumi.Resource]) -> pulumi.Resource:
            daemon = flannel.service(cluster, host.spec)
            return run(host, daemon, cluster, pki, parent=self, depends_on=[network, *before])

        self.ready = by_host(hosts, rolling(hosts, step, lanes=one_lane, may_run=may_run(cluster)))
        self.register_outputs({})
