"""A stack's configuration, typed and validated before anything is created."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from model.roles import Role

AuthorizationMode = Literal["Node,RBAC", "ABAC"]
Component = Literal["etcd", "flannel", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]


class Section(BaseModel):
    """Frozen, strict about names, camelCase outside and snake_case inside."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, validate_default=True
    )


class Zone(Section):
    """A Cloudflare zone."""

    id: str
    name: str


class Pool(Section):
    """Hosts that are alike: `<name>-0` to `<name>-<count - 1>`."""

    name: str
    roles: tuple[Role, ...]
    count: int
    size: str


class Versions(Section):
    """Releases to install, without a leading v."""

    kubernetes: str = "1.37.1"
    etcd: str = "3.6.14"
    flannel: str = "0.27.4"


class Mirror(Section):
    """Where release files come from instead of upstream, and the digests of those that are not upstream's own."""

    url: str
    digests: Mapping[str, Mapping[str, Mapping[str, str]]] = Field(default_factory=dict)
    """File → version → architecture → SHA-256."""


class Certificates(Section):
    """Lifetimes, in hours."""

    ca_hours: int = 87_600
    leaf_hours: int = 8_760
    renew_hours: int = 2_880


DEFAULT_POOLS = (
    Pool(name="etcd", roles=(Role.ETCD,), count=3, size="s-1vcpu-2gb"),
    Pool(name="k8s-master", roles=(Role.KUBE_MASTER,), count=3, size="s-2vcpu-4gb"),
)


class Settings(Section):
    """All `triplane:*` settings of a stack."""

    cluster: str
    domain: str
    zone: Zone
    region: str = "fra1"
    image: str = "debian-12-x64"
    pools: tuple[Pool, ...] = DEFAULT_POOLS
    vpc_cidr: IPv4Network = IPv4Network("10.240.0.0/20")
    pod_cidr: IPv4Network = IPv4Network("10.200.0.0/16")
    service_cidr: IPv4Network = IPv4Network("10.32.0.0/24")
    api_port: int = 6443
    ssh_allowed: tuple[IPv4Network, ...]
    api_allowed: tuple[IPv4Network, ...]
    """Who reaches the API from outside; the same as `ssh_allowed` where it is not set."""
    allow_world_ssh: bool = False
    versions: Versions = Versions()
    mirror: Mirror | None = None
    authorization_mode: AuthorizationMode = "Node,RBAC"
    extra_flags: Mapping[Component, Mapping[str, str]] = Field(default_factory=dict)
    """Component → flag without dashes → value."""
    certificates: Certificates = Certificates()
    ssh_ca_public_key: str | None = None
    encryption_keys: Annotated[tuple[str, ...], Field(min_length=1)] = ("key1",)
    """Names of the keys that encrypt secrets at rest: the first one writes, all of them read."""
