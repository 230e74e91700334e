"""The controller managers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network

import pulumi

from components.host import Host, SecretFile
from components.kubeconfig import kubeconfig
from components.pki import Pki
from model import certificates, paths
from model.certificates import Authority
from model.releases import Releases
from model.steps import controller_manager


class ControllerManagers(pulumi.ComponentResource):
    """kube-controller-manager on every master, in a chain; one of them leads."""

    def __init__(
        self,
        name: str,
        *,
        hosts: Iterable[Host],
        cluster: str,
        releases: Releases,
        pki: Pki,
        pods: IPv4Network,
        services: IPv4Network,
        api_port: int,
        extra_flags: Mapping[str, str],
        apiservers: Mapping[str, pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:kubernetes:ControllerManagers", name, None, opts)
        signing = pki.authorities[Authority.CLUSTER_SIGNING]
        previous: list[pulumi.Resource] = []
        for host in hosts:
            installed = host.install(
                controller_manager.NAME,
                directory=releases.directory("kubernetes"),
                downloads=[releases.download("kubernetes", controller_manager.NAME)],
                parent=self,
            )
            step = host.step(
                controller_manager.NAME,
                create=controller_manager.script(
                    node=host.node,
                    cluster=cluster,
                    pods=pods,
                    services=services,
                    version=releases.versions["kubernetes"],
                    extra=extra_flags,
                ),
                secrets=[
                    SecretFile(
                        paths.CONTROLLER_MANAGER_KUBECONFIG,
                        kubeconfig(
                            pki=pki,
                            leaf=certificates.controller_manager(host.node),
                            cluster=cluster,
                            server=f"https://{host.node.private_name}:{api_port}",
                        ),
                    ),
                    SecretFile(controller_manager.CA, pki.certificate(Authority.KUBERNETES)),
                    SecretFile(controller_manager.SIGNING[0], signing.certificate),
                    SecretFile(controller_manager.SIGNING[1], signing.key),
                    SecretFile(controller_manager.FRONT_PROXY_CA, pki.certificate(Authority.FRONT_PROXY)),
                    SecretFile(controller_manager.SERVICE_ACCOUNT_KEY, pki.service_account.private_key_pem),
                ],
                parent=self,
                depends_on=[installed, apiservers[host.node.name], *previous],
            )
            previous = [step]
        self.register_outputs({})
