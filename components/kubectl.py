"""kubectl on a master, for what the graph keeps in the API."""

from __future__ import annotations

from collections.abc import Iterable

import pulumi
import pulumi_command as command

from components.host import Host, SecretFile
from components.kubeconfig import kubeconfig
from components.pki import Pki
from model import certificates, paths
from model.releases import Releases
from model.topology import Node


class Kubectl(pulumi.ComponentResource):
    """kubectl on one master, which calls that master's own API server as the administrator.

    It leaves no credential there: each step brings it on stdin and takes it away at its end.
    """

    host: Host
    ready: pulumi.Resource

    def __init__(
        self,
        name: str,
        *,
        host: Host,
        releases: Releases,
        pki: Pki,
        cluster: str,
        api_port: int,
        apiserver: pulumi.Resource,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:kubernetes:Kubectl", name, None, opts)
        self.host = host
        self._apiserver = apiserver
        self._kubeconfig = kubeconfig(
            pki=pki,
            leaf=certificates.admin(),
            cluster=cluster,
            server=f"https://{host.node.private_name}:{api_port}",
        )
        self.ready = host.install(
            "kubectl",
            directory=releases.directory("kubernetes"),
            downloads=[releases.download("kubernetes", "kubectl")],
            links=["kubectl"],
            parent=self,
        )
        self.register_outputs({})

    def step(
        self,
        name: str,
        *,
        parent: pulumi.Resource,
        create: str | None = None,
        delete: str | None = None,
        depends_on: Iterable[pulumi.Resource] = (),
        deleted_with: pulumi.Resource | None = None,
        about: Node | None = None,
        droplet: pulumi.Input[str] | None = None,
    ) -> command.remote.Command:
        """Run a script of `model.steps.kubectl`; `about` is the node that it is about and is named after.

        `droplet` is that node's id at DigitalOcean, for a script that asks for it.
        """
        full = f"{about.name}-{name}" if about else name
        brought = [SecretFile(paths.passing_kubeconfig(full), self._kubeconfig)]
        if droplet is not None:
            brought.append(SecretFile(paths.passing_droplet(full), droplet))
        return self.host.step(
            name,
            create=create,
            delete=delete,
            secrets=brought,
            parent=parent,
            depends_on=[self.ready, self._apiserver, *depends_on],
            deleted_with=deleted_with,
            about=about,
        )
