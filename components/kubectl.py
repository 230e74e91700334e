"""kubectl on masters, for the objects that the graph keeps in the API."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pulumi
import pulumi_command as command

from components.host import Host
from components.pki import Pki
from components.rolling import waits_for
from components.secret import FilledFile
from components.services import Gates
from model import paths
from model.certificates import admin
from model.cluster import Cluster
from model.secrets import Kubeconfig


class Kubectl(pulumi.ComponentResource):
    """kubectl on the first master, which calls that master's own API server as the administrator.

    It leaves no credential there: each step receives it on stdin and deletes it at the end. The second master has it
    too, since a master cannot say goodbye to itself.
    """

    def __init__(
        self,
        name: str,
        cluster: Cluster,
        pki: Pki,
        *,
        masters: Sequence[Host],
        apiservers: Gates,
        uninstalls: Gates,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:kubernetes:Kubectl", name, None, opts)
        self._masters, self._uninstalls = masters[:2], uninstalls
        self._kubeconfigs = {
            host.name: pki.kubeconfig(Kubeconfig(admin(), cluster.api_url_of(host.spec)), cluster)
            for host in self._masters
        }
        self._ready = {
            host.name: [
                apiservers[host.name],
                host.install(
                    "kubectl",
                    directory=cluster.installed("kubernetes"),
                    downloads=[cluster.releases.download("kubernetes", "kubectl")],
                    links=["kubectl"],
                    parent=self,
                ),
            ]
            for host in self._masters
        }
        self.register_outputs({})

    def step(
        self,
        name: str,
        *,
        create: str,
        parent: pulumi.Resource,
        depends_on: Iterable[pulumi.Resource] = (),
        about: Host | None = None,
    ) -> command.remote.Command:
        """Run a script of `model.steps.kubectl`; `about` is the node that the step changes and is named after."""
        host = self._masters[0]
        return host.step(
            name,
            create=create,
            secrets=self._brought(name, about, on=host),
            parent=parent,
            depends_on=[*self._ready[host.name], *depends_on],
            about=about.spec if about else None,
        )

    def farewell(
        self,
        name: str,
        *,
        about: Host,
        create: str,
        delete: str,
        parent: pulumi.Resource,
        depends_on: Iterable[pulumi.Resource] = (),
        deleted_with: pulumi.Resource | None = None,
    ) -> command.remote.Command:
        """Run a `delete` script of `model.steps.kubectl` before the droplet of a node goes (components.host)."""
        host = next((master for master in self._masters if master is not about), about)
        return about.farewell(
            name,
            on=host,
            create=create,
            delete=delete,
            secrets=self._brought(name, about, on=host),
            parent=parent,
            # The state keeps the host that runs it, whose API server stops later than that, and nothing of other hosts
            # that this one stands on.
            depends_on=[
                host.ready,
                self._uninstalls[host.name],
                *map(waits_for, self._ready[host.name]),
                *depends_on,
            ],
            deleted_with=deleted_with,
        )

    def _brought(self, name: str, about: Host | None, *, on: Host) -> list[FilledFile]:
        """Return what a step needs beside its text: the kubeconfig, and the id of the droplet that it is about."""
        if about is None:
            return [FilledFile(paths.passing_kubeconfig(name), self._kubeconfigs[on.name])]
        full = f"{about.name}-{name}"
        return [
            FilledFile(paths.passing_kubeconfig(full), self._kubeconfigs[on.name]),
            FilledFile(paths.passing_droplet(full), about.droplet.id),
        ]
