"""kubectl on a master, for the objects that the graph keeps in the API."""

from __future__ import annotations

from collections.abc import Iterable

import pulumi
import pulumi_command as command

from components.host import Host
from components.pki import Pki
from components.secret import FilledFile
from model import paths
from model.certificates import admin
from model.cluster import Cluster
from model.secrets import Kubeconfig
from model.topology import HostSpec


class Kubectl(pulumi.ComponentResource):
    """kubectl on one master, which calls that master's own API server as the administrator.

    It leaves no credential there: each step receives it on stdin and deletes it at the end.
    """

    host: Host
    ready: pulumi.Resource

    def __init__(
        self,
        name: str,
        cluster: Cluster,
        pki: Pki,
        *,
        host: Host,
        apiserver: pulumi.Resource,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:kubernetes:Kubectl", name, None, opts)
        self.host = host
        self._apiserver = apiserver
        self._kubeconfig = pki.kubeconfig(Kubeconfig(admin(), cluster.api_url_of(host.spec)), cluster)
        self.ready = host.install(
            "kubectl",
            directory=cluster.installed("kubernetes"),
            downloads=[cluster.releases.download("kubernetes", "kubectl")],
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
        about: HostSpec | None = None,
        droplet: pulumi.Input[str] | None = None,
    ) -> command.remote.Command:
        """Run a script of `model.steps.kubectl`; `about` is the node that the step changes and is named after.

        `droplet` is the id of that node's droplet, for a script that needs it.
        """
        full = f"{about.name}-{name}" if about else name
        brought = [FilledFile(paths.passing_kubeconfig(full), self._kubeconfig)]
        if droplet is not None:
            brought.append(FilledFile(paths.passing_droplet(full), droplet))
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
