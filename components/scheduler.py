"""The schedulers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pulumi

from components.host import Host, SecretFile
from components.kubeconfig import kubeconfig
from components.pki import Pki
from model import certificates, paths
from model.releases import Releases
from model.steps import scheduler


class Schedulers(pulumi.ComponentResource):
    """kube-scheduler on every master, in a chain; one of them leads."""

    def __init__(
        self,
        name: str,
        *,
        hosts: Iterable[Host],
        cluster: str,
        releases: Releases,
        pki: Pki,
        api_port: int,
        extra_flags: Mapping[str, str],
        apiservers: Mapping[str, pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:kubernetes:Schedulers", name, None, opts)
        previous: list[pulumi.Resource] = []
        for host in hosts:
            installed = host.install(
                scheduler.NAME,
                directory=releases.directory("kubernetes"),
                downloads=[releases.download("kubernetes", scheduler.NAME)],
                parent=self,
            )
            step = host.step(
                scheduler.NAME,
                create=scheduler.script(node=host.node, version=releases.versions["kubernetes"], extra=extra_flags),
                secrets=[
                    SecretFile(
                        paths.SCHEDULER_KUBECONFIG,
                        kubeconfig(
                            pki=pki,
                            leaf=certificates.scheduler(host.node),
                            cluster=cluster,
                            server=f"https://{host.node.private_name}:{api_port}",
                        ),
                    )
                ],
                parent=self,
                depends_on=[installed, apiservers[host.node.name], *previous],
            )
            previous = [step]
        self.register_outputs({})
