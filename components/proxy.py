"""The kube-proxies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network

import pulumi

from components.host import Host, SecretFile, in_pools
from components.kubeconfig import kubeconfig
from components.pki import Pki
from model import certificates, paths
from model.releases import Releases
from model.steps import kube_proxy
from model.topology import Topology


class Proxies(pulumi.ComponentResource):
    """kube-proxy on every master and node: pools side by side, the hosts of each in a chain."""

    ready: Mapping[str, pulumi.Resource]
    """By the node's name: that host reaches the API by its address as a service, and so do pods on it."""

    def __init__(
        self,
        name: str,
        *,
        hosts: Iterable[Host],
        topology: Topology,
        releases: Releases,
        pki: Pki,
        cluster: str,
        pods: IPv4Network,
        services: IPv4Network,
        api_port: int,
        extra_flags: Mapping[str, str],
        cloud_controller: bool,
        kubelets: Mapping[str, pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:kubernetes:Proxies", name, None, opts)
        server = f"https://{topology.api_private_name}:{api_port}"
        ready: dict[str, pulumi.Resource] = {}
        for host, before in in_pools(hosts):
            node = host.node
            installed = host.install(
                kube_proxy.NAME,
                directory=releases.directory("kubernetes"),
                downloads=[releases.download("kubernetes", kube_proxy.NAME)],
                parent=self,
            )
            ready[node.name] = host.step(
                kube_proxy.NAME,
                create=kube_proxy.script(
                    node=node,
                    pods=pods,
                    services=services,
                    server=server,
                    version=releases.versions["kubernetes"],
                    extra=extra_flags,
                    cloud_controller=cloud_controller,
                ),
                secrets=[
                    SecretFile(
                        paths.KUBE_PROXY_KUBECONFIG,
                        kubeconfig(pki=pki, leaf=certificates.kube_proxy(node), cluster=cluster, server=server),
                    )
                ],
                parent=self,
                depends_on=[installed, kubelets[node.name], *(ready[name] for name in before)],
            )
        self.ready = ready
        self.register_outputs({})
