"""The etcd cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pulumi

from components.host import Host, SecretFile
from components.pki import Pki
from model import certificates
from model.certificates import Authority
from model.releases import Releases
from model.steps import etcd
from model.topology import Topology


class Etcd(pulumi.ComponentResource):
    """One member a host, in a chain: each is healthy, and the cluster at quorum, before the next is touched."""

    ready: pulumi.Resource
    """The last member's step: the whole cluster is healthy."""

    def __init__(
        self,
        name: str,
        *,
        hosts: Iterable[Host],
        topology: Topology,
        releases: Releases,
        pki: Pki,
        extra_flags: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:etcd:Cluster", name, None, opts)
        version = releases.versions["etcd"]
        members = tuple(hosts)
        # A member looks its peers up, so all of them have their names before the first one starts.
        previous: list[pulumi.Resource] = [host.ready for host in members]
        for host in members:
            installed = host.install(
                "etcd",
                directory=releases.directory("etcd"),
                downloads=[releases.download("etcd", "etcd")],
                links=("etcdctl", "etcdutl"),
                parent=self,
            )

            def script(*, first: bool, host: Host = host) -> str:
                return etcd.script(node=host.node, topology=topology, version=version, extra=extra_flags, first=first)

            step = host.step(
                "etcd",
                create=script(first=True),
                update=script(first=False),
                secrets=_secrets(host, pki),
                parent=self,
                depends_on=[installed, *previous],
            )
            previous = [step]
        self.ready = previous[-1]
        self.register_outputs({})


def _secrets(host: Host, pki: Pki) -> list[SecretFile]:
    files = [
        SecretFile(etcd.PEER_CA, pki.certificate(Authority.ETCD_PEER), etcd.OWNER),
        SecretFile(etcd.CLIENT_CA, pki.certificate(Authority.ETCD_CLIENT), etcd.OWNER),
        SecretFile(etcd.SERVER_CA, pki.certificate(Authority.ETCD_SERVER), etcd.OWNER),
    ]
    for paths, leaf, owner in (
        (etcd.PEER, certificates.etcd_peer(host.node), etcd.OWNER),
        (etcd.SERVER, certificates.etcd_server(host.node), etcd.OWNER),
        (etcd.CTL, certificates.etcdctl(host.node), "root:root"),
    ):
        credential = pki.leaf(leaf)
        files += [SecretFile(paths[0], credential.certificate, owner), SecretFile(paths[1], credential.key, owner)]
    return files
