"""The cluster as its services see it: hosts, releases, addresses and flags, from one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from model.past import NOTHING, Past
from model.releases import Releases
from model.topology import HostSpec, Topology


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """Settings in the model's terms. Every service is made from this and its host."""

    topology: Topology
    releases: Releases
    pods: IPv4Network
    services: IPv4Network
    """The range of services' addresses."""
    api_port: int
    authorization_mode: str = "Node,RBAC"
    extra_flags: Mapping[str, Mapping[str, str]]
    """Component → flag without dashes → value."""
    cloud_controller: bool = False
    """A cloud controller manager initializes nodes."""
    pause: str
    """Image of the container that holds a pod's namespaces, with its digest."""
    registry: str | None = None
    """URL of the registry that all images come from; None for each image's own."""
    past: Past = NOTHING
    """The cluster as the last `up` left it."""

    @property
    def name(self) -> str:
        """Name of the cluster."""
        return self.topology.cluster

    @property
    def api_url(self) -> str:
        """URL of the API for hosts: any of the masters."""
        return f"https://{self.topology.api_private_name}:{self.api_port}"

    @property
    def public_api_url(self) -> str:
        """URL of the API for people."""
        return f"https://{self.topology.api_name}:{self.api_port}"

    def api_url_of(self, master: HostSpec) -> str:
        """URL of one master's own API server."""
        return f"https://{master.private_name}:{self.api_port}"

    def installed(self, component: str) -> str:
        """Directory of a component's binaries on a host."""
        return self.releases.directory(component)

    def flags(self, component: str) -> Mapping[str, str]:
        """Flags that an operator adds to a component."""
        return self.extra_flags.get(component, {})
