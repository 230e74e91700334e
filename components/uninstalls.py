"""The end of a host's jobs: what is done on it when it loses a role and stays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pulumi

from components.host import Host
from components.services import Gates
from model.steps import uninstall
from model.steps.uninstall import Job


class Uninstalls(pulumi.ComponentResource):
    """A resource per job of a host, whose deletion takes the job's services, keys and data off the host.

    It runs nothing as long as the host has the job, and nothing if the droplet is deleted with it. The engine deletes
    what depends on a resource before the resource: so what leads clients to a service, or needs it to leave, depends on
    its job's resource.
    """

    of: Mapping[Job, Gates]
    """Job → its resource by host."""

    def __init__(self, name: str, *, hosts: Iterable[Host], opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("triplane:host:Uninstalls", name, None, opts)
        hosts = tuple(hosts)
        self.of = {
            job: {
                host.name: host.ending(
                    f"{uninstall.UNINSTALL}-{job}", delete=uninstall.script(job, host=host.spec), parent=self
                )
                for host in hosts
                if host.spec.roles & roles
            }
            for job, roles in uninstall.ROLES.items()
        }
        self.register_outputs({})
