"""Services on hosts."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

import pulumi

from components.host import Host
from components.pki import Pki
from components.rolling import one_lane, rolling
from model.cluster import Cluster
from model.service import Service
from model.topology import HostSpec

Gates = Mapping[str, pulumi.Resource]
"""Steps by the names of their hosts: other steps of a host wait for them."""


def run(
    host: Host,
    service: Service,
    cluster: Cluster,
    pki: Pki,
    *,
    parent: pulumi.Resource,
    depends_on: Iterable[pulumi.Resource],
    update: str | None = None,
) -> pulumi.Resource:
    """Install a service on a host, run it, and wait until it is healthy; `update` is the script of every later run."""
    releases = cluster.releases
    installed = [
        host.install(
            binaries.step,
            directory=releases.directory(binaries.component),
            downloads=[releases.download(binaries.component, binaries.file)],
            links=binaries.links,
            parent=parent,
        )
        for binaries in service.binaries
    ]
    return host.step(
        service.name,
        create=service.script,
        update=update,
        secrets=pki.files(service.secrets, cluster),
        parent=parent,
        depends_on=[*installed, *depends_on],
    )


class Services(pulumi.ComponentResource):
    """One service on some hosts. Those that may run it are changed one by one: each is healthy before the next.

    New hosts come up side by side.
    """

    ready: Gates

    def __init__(
        self,
        name: str,
        service: Callable[[Cluster, HostSpec], Service],
        cluster: Cluster,
        pki: Pki,
        *,
        kind: str,
        hosts: Iterable[Host],
        after: Iterable[pulumi.Resource] = (),
        on_same_host: Iterable[Gates] = (),
        lanes: Callable[[Host], Iterable[Hashable]] = one_lane,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Register a step for each host; `kind` is the type's name in the state, e.g. "kubernetes:Kubelets".

        Every step waits for `after`, and for the steps of its own host in `on_same_host`.
        """
        super().__init__(f"triplane:{kind}", name, None, opts)
        hosts, first, gates = tuple(hosts), tuple(after), tuple(on_same_host)

        def step(host: Host, before: Sequence[pulumi.Resource]) -> pulumi.Resource:
            here = (gate[host.name] for gate in gates)
            made = service(cluster, host.spec)
            return run(host, made, cluster, pki, parent=self, depends_on=[*first, *here, *before])

        self.ready = by_host(hosts, rolling(hosts, step, lanes=lanes, may_run=may_run(cluster)))
        self.register_outputs({})


def may_run(cluster: Cluster) -> Callable[[Host], bool]:
    """Say of a host whether an earlier `up` may have made it."""
    return lambda host: cluster.past.may_run(host.spec)


def by_host(hosts: Iterable[Host], steps: Iterable[pulumi.Resource]) -> Gates:
    """Give each host's step its host's name."""
    return {host.name: step for host, step in zip(hosts, steps, strict=True)}
