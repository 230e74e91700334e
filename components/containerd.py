"""What runs pods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pulumi

from components.host import Host, in_pools
from model.releases import Releases
from model.steps import containerd


class Containerds(pulumi.ComponentResource):
    """containerd, runc and the CNI plugins on every master and node, in a chain for each pool."""

    ready: Mapping[str, pulumi.Resource]
    """By the node's name: that host's containerd answers, and its pods' network is there."""

    def __init__(
        self,
        name: str,
        *,
        hosts: Iterable[Host],
        releases: Releases,
        pause: str,
        registry: str | None,
        flannel: Mapping[str, pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:containerd:Runtimes", name, None, opts)
        script = containerd.script(versions=releases.versions, pause=pause, registry=registry)
        ready: dict[str, pulumi.Resource] = {}
        for host, before in in_pools(hosts):
            node = host.node
            installed = [
                host.install(
                    release,
                    directory=releases.directory(release),
                    downloads=[releases.download(release, release)],
                    links=links,
                    parent=self,
                )
                for release, links in (("containerd", ("ctr",)), ("runc", ()), ("cni-plugins", ()))
            ]
            ready[node.name] = host.step(
                containerd.NAME,
                create=script,
                parent=self,
                depends_on=[*installed, flannel[node.name], *(ready[name] for name in before)],
            )
        self.ready = ready
        self.register_outputs({})
