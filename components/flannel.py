"""The pod network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network

import pulumi

from components.host import Host, SecretFile
from components.pki import Pki
from model import certificates
from model.certificates import Authority
from model.releases import Releases
from model.steps import flannel
from model.topology import Topology


class Flannel(pulumi.ComponentResource):
    """The network's configuration in etcd, and flanneld on every master and node, in a chain."""

    ready: Mapping[str, pulumi.Resource]
    """By the node's name: that host has its lease."""

    def __init__(
        self,
        name: str,
        *,
        hosts: Iterable[Host],
        etcd_host: Host,
        topology: Topology,
        releases: Releases,
        pki: Pki,
        pods: IPv4Network,
        extra_flags: Mapping[str, str],
        etcd: pulumi.Resource,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:flannel:Network", name, None, opts)
        previous: pulumi.Resource = etcd_host.step(
            "flannel-network",
            create=flannel.network_script(pods=pods, etcd_version=releases.versions["etcd"]),
            parent=self,
            depends_on=[etcd],
        )
        ready: dict[str, pulumi.Resource] = {}
        for host in hosts:
            installed = host.install(
                "flannel",
                directory=releases.directory("flannel"),
                downloads=[releases.download("flannel", "flanneld")],
                parent=self,
            )
            credential = pki.leaf(certificates.flannel_etcd_client(host.node))
            previous = ready[host.node.name] = host.step(
                "flannel",
                create=flannel.script(topology=topology, version=releases.versions["flannel"], extra=extra_flags),
                secrets=[
                    SecretFile(flannel.CA, pki.certificate(Authority.ETCD_SERVER)),
                    SecretFile(flannel.CLIENT[0], credential.certificate),
                    SecretFile(flannel.CLIENT[1], credential.key),
                ],
                parent=self,
                depends_on=[installed, previous],
            )
        self.ready = ready
        self.register_outputs({})
