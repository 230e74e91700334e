"""The kubelets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network

import pulumi

from components.host import Host, SecretFile, in_pools
from components.kubeconfig import kubeconfig
from components.pki import Pki
from model import certificates, paths
from model.certificates import Authority
from model.node_manifests import KUBELET_CA, KUBELET_SERVING
from model.releases import Releases
from model.steps import kubelet
from model.topology import Topology


class Kubelets(pulumi.ComponentResource):
    """A kubelet on every master and node: pools side by side, in each of them one Ready before the next is touched.

    It gives its node no label: a kubelet may not say what it is for.
    """

    ready: Mapping[str, pulumi.Resource]
    """By the node's name: that node is Ready."""

    def __init__(
        self,
        name: str,
        *,
        hosts: Iterable[Host],
        topology: Topology,
        releases: Releases,
        pki: Pki,
        cluster: str,
        services: IPv4Network,
        api_port: int,
        extra_flags: Mapping[str, str],
        cloud_controller: bool,
        containerds: Mapping[str, pulumi.Resource],
        api: Iterable[pulumi.Resource],
        removals: Mapping[str, pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:kubernetes:Kubelets", name, None, opts)
        server = f"https://{topology.api_private_name}:{api_port}"
        # By the API's name, and so after every API server: a kubelet must not be newer than one that it may meet.
        first = list(api)
        ready: dict[str, pulumi.Resource] = {}
        for host, before in in_pools(hosts):
            node = host.node
            installed = host.install(
                kubelet.NAME,
                directory=releases.directory("kubernetes"),
                downloads=[releases.download("kubernetes", kubelet.NAME)],
                parent=self,
            )
            serving = pki.leaf(certificates.kubelet_serving(node))
            ready[node.name] = host.step(
                kubelet.NAME,
                create=kubelet.script(
                    node=node,
                    services=services,
                    server=server,
                    version=releases.versions["kubernetes"],
                    extra=extra_flags,
                    cloud_controller=cloud_controller,
                ),
                secrets=[
                    SecretFile(
                        paths.KUBELET_KUBECONFIG,
                        kubeconfig(pki=pki, leaf=certificates.kubelet_client(node), cluster=cluster, server=server),
                    ),
                    SecretFile(KUBELET_CA, pki.certificate(Authority.KUBERNETES)),
                    SecretFile(KUBELET_SERVING[0], serving.certificate),
                    SecretFile(KUBELET_SERVING[1], serving.key),
                ],
                parent=self,
                depends_on=[
                    installed,
                    containerds[node.name],
                    removals[node.name],
                    *first,
                    *(ready[name] for name in before),
                ],
            )
        self.ready = ready
        self.register_outputs({})
