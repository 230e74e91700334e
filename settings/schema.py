"""All settings of a stack: names, types, defaults, and an example of each.

docs/settings.md has the table of them; a test compares it with this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, InstanceOf
from pydantic.alias_generators import to_camel

from model import releases
from model.digitalocean import DEFAULT_IMAGE
from model.expiry import Lifetimes
from model.firewalls import Allow, Firewall, firewalls
from model.images import COREDNS, PAUSE
from model.ports import ICMP, Icmp, Port
from model.roles import Role
from model.taints import Taint
from model.topology import Topology
from settings import values
from settings.labels import label_key, label_value, no_two_alike, pool_taint
from settings.mistakes import write_one_of

AuthorizationMode = Literal["Node,RBAC", "ABAC"]
Component = Literal[
    "etcd", "flannel", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"
]


def _flag_value(value: object) -> object:
    """Convert a number or a boolean from YAML to text: the value of every flag is text."""
    if value is None:
        raise ValueError("has no value. Write what the flag takes, or true.")
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


Label = Annotated[str, AfterValidator(values.dns_label)]
DnsName = Annotated[str, AfterValidator(values.dns_name)]
Network = Annotated[IPv4Network, BeforeValidator(values.network)]
Networks = Annotated[tuple[Network, ...], AfterValidator(values.no_repeats)]
PortRange = Annotated[tuple[int, int], BeforeValidator(values.port_range)]
Count = Annotated[int, Field(strict=True)]
Hours = Annotated[int, Field(strict=True, ge=1, le=876_000)]
Url = Annotated[str, AfterValidator(values.url)]
Sha256 = Annotated[str, AfterValidator(values.sha256)]
Architecture = Annotated[str, AfterValidator(values.choice("an architecture", ("amd64", "arm64")))]
FlagValue = Annotated[str, BeforeValidator(_flag_value)]


LabelKey = Annotated[str, AfterValidator(label_key)]
LabelValue = Annotated[str, AfterValidator(label_value)]
PoolTaint = Annotated[InstanceOf[Taint], BeforeValidator(pool_taint)]
Image = Annotated[str, AfterValidator(values.image)]
ImageSlug = Annotated[str, AfterValidator(values.slug("an image", DEFAULT_IMAGE))]


def _version(component: str) -> AfterValidator:
    def check(value: str) -> str:
        known = releases.load().versions(component)
        if value in known:
            return value
        raise ValueError(f"is not a version of {component} that Triplane has digests for. {write_one_of(value, known)}")

    return AfterValidator(check)


class Section(BaseModel):
    """Frozen, closed to unknown names, camelCase in the stack's file and snake_case here."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, validate_default=True
    )


class Zone(Section):
    """The Cloudflare zone of the domain."""

    id: Annotated[str, AfterValidator(values.zone_id), Field(examples=["0123456789abcdef0123456789abcdef"])]
    name: Annotated[DnsName, Field(examples=["example.com"])]


class Pool(Section):
    """Hosts that are alike: `<name>-0` to `<name>-<count - 1>`."""

    name: Annotated[Label, Field(examples=["etcd"])]
    roles: Annotated[tuple[Role, ...], Field(examples=[["etcd"]]), AfterValidator(values.some_without_repeats)]
    count: Annotated[Count, Field(ge=0, examples=[3])]
    size: Annotated[str, AfterValidator(values.slug("a droplet size", "s-2vcpu-4gb")), Field(examples=["s-2vcpu-4gb"])]
    image: Annotated[ImageSlug | None, Field(examples=["debian-12-x64"])] = None
    """Image of its hosts; None for the stack's."""
    labels: Annotated[Mapping[LabelKey, LabelValue], Field(examples=[{"example.com/disk": "nvme"}])] = Field(
        default_factory=dict
    )
    """Labels of its Kubernetes nodes."""
    taints: Annotated[
        tuple[PoolTaint, ...], Field(examples=[["dedicated=gpu:NoSchedule"]]), AfterValidator(no_two_alike)
    ] = ()


class Ingress(Section):
    """Ports that are open on nodes, and the ranges that they are open to."""

    protocol: Annotated[Literal["tcp", "udp"], Field(examples=["tcp"])] = "tcp"
    ports: Annotated[PortRange, Field(examples=[443])]
    ranges: Annotated[Networks, Field(examples=[["0.0.0.0/0"]]), AfterValidator(values.some_without_repeats)]

    @property
    def port(self) -> Port:
        """Protocol and ports together."""
        return _port(self.protocol, self.ports)


class Outbound(Section):
    """Outbound access of every host and its pods."""

    protocol: Annotated[Literal["tcp", "udp", "icmp"], Field(examples=["tcp"])] = "tcp"
    ports: Annotated[PortRange | None, Field(examples=[25_060])] = None
    """Ports; None for icmp, which has no ports."""
    ranges: Annotated[Networks, Field(examples=[["0.0.0.0/0"]]), AfterValidator(values.some_without_repeats)]

    @property
    def port(self) -> Port | Icmp:
        """Protocol and ports together."""
        return ICMP if self.ports is None else _port(self.protocol, self.ports)


def _port(protocol: str, span: tuple[int, int]) -> Port:
    first, last = span
    return Port(number=first, last=last if last > first else None, protocol=protocol)


class Versions(Section):
    """Releases to install, without a leading v."""

    kubernetes: Annotated[str, _version("kubernetes"), Field(examples=["1.37.1"])] = "1.37.1"
    etcd: Annotated[str, _version("etcd"), Field(examples=["3.6.14"])] = "3.6.14"
    flannel: Annotated[str, _version("flannel"), Field(examples=["0.27.4"])] = "0.27.4"
    containerd: Annotated[str, _version("containerd"), Field(examples=["2.3.4"])] = "2.3.4"
    runc: Annotated[str, _version("runc"), Field(examples=["1.4.3"])] = "1.4.3"
    cni_plugins: Annotated[str, _version("cni-plugins"), Field(examples=["1.9.1"])] = "1.9.1"

    def by_component(self) -> dict[str, str]:
        """Versions by the catalog's names of their components."""
        return {name.replace("_", "-"): version for name, version in self.model_dump().items()}


class Images(Section):
    """Images of the cluster's own pods, by digest: a tag can move to another image, a digest cannot."""

    pause: Annotated[Image, Field(examples=[PAUSE])] = PAUSE
    coredns: Annotated[Image, Field(examples=[COREDNS])] = COREDNS


class Mirror(Section):
    """Servers of release files and images instead of upstream, and digests that differ from upstream's."""

    url: Annotated[Url | None, Field(examples=["https://mirror.example.com/releases"])] = None
    registry: Annotated[Url | None, Field(examples=["https://registry.example.com"])] = None
    """URL of the registry for all images, whichever registry is in their names."""
    digests: Annotated[
        Mapping[str, Mapping[str, Mapping[Architecture, Sha256]]],
        Field(examples=[{"etcd": {"3.6.14": {"amd64": "<64 hex digits>"}}}]),
    ] = Field(default_factory=dict)
    """File → version → architecture → SHA-256."""


class Certificates(Section):
    """Lifetimes, in hours. Every `up` inside the last `renew_hours` of a certificate's life replaces it."""

    ca_hours: Annotated[Hours, Field(examples=[87_600])] = 87_600
    leaf_hours: Annotated[Hours, Field(examples=[8_760])] = 8_760
    renew_hours: Annotated[Hours, Field(examples=[2_880])] = 2_880

    @property
    def lifetimes(self) -> Lifetimes:
        """The same, as the model has it."""
        return Lifetimes(ca_hours=self.ca_hours, leaf_hours=self.leaf_hours, renew_hours=self.renew_hours)


DEFAULT_POOLS = (
    Pool(name="etcd", roles=(Role.ETCD,), count=3, size="s-1vcpu-2gb"),
    Pool(name="k8s-master", roles=(Role.KUBE_MASTER,), count=3, size="s-2vcpu-4gb"),
)


class Settings(Section):
    """All `triplane:*` settings of a stack."""

    cluster: Annotated[Label, Field(examples=["prod"])]
    domain: Annotated[DnsName, Field(examples=["k8s.example.com"])]
    zone: Annotated[Zone, Field(examples=[{"id": "0123456789abcdef0123456789abcdef", "name": "example.com"}])]
    region: Annotated[str, AfterValidator(values.slug("a region", "fra1")), Field(examples=["fra1"])] = "fra1"
    image: Annotated[ImageSlug, Field(examples=[DEFAULT_IMAGE])] = DEFAULT_IMAGE
    pools: Annotated[
        tuple[Pool, ...], Field(examples=[[{"name": "etcd", "roles": ["etcd"], "count": 3, "size": "s-1vcpu-2gb"}]])
    ] = DEFAULT_POOLS
    vpc_cidr: Annotated[Network, Field(examples=["10.240.0.0/20"])] = IPv4Network("10.240.0.0/20")
    pod_cidr: Annotated[Network, Field(examples=["10.200.0.0/16"])] = IPv4Network("10.200.0.0/16")
    service_cidr: Annotated[Network, Field(examples=["10.32.0.0/24"])] = IPv4Network("10.32.0.0/24")
    api_port: Annotated[Count, Field(examples=[6443])] = 6443
    ssh_allowed: Annotated[Networks, Field(examples=[["203.0.113.7/32"]])]
    """Ranges that may reach SSH; the machine that runs `pulumi up` must be in one."""
    api_allowed: Annotated[Networks, Field(examples=[["203.0.113.0/24"]])] = Field(
        default_factory=lambda earlier: earlier.get("ssh_allowed", ())
    )
    """Ranges that may reach the API."""
    node_ports_allowed: Annotated[Networks, Field(examples=[["203.0.113.0/24"]])] = ()
    """Ranges that may reach NodePorts of services."""
    ingress_ports: Annotated[tuple[Ingress, ...], Field(examples=[[{"ports": 443, "ranges": ["0.0.0.0/0"]}]])] = ()
    """Ports that are open on nodes, for host ports of pods."""
    icmp_allowed: Annotated[Networks, Field(examples=[["203.0.113.0/24"]])] = ()
    """Ranges that may ping the hosts."""
    outbound_allowed: Annotated[
        tuple[Outbound, ...], Field(examples=[[{"ports": 25_060, "ranges": ["0.0.0.0/0"]}]])
    ] = ()
    """Outbound access of hosts and pods besides DNS, NTP, HTTP and HTTPS."""
    nodes_reach_kubelets: Annotated[bool, Field(strict=True, examples=[True])] = False
    """Let pods on nodes call kubelets, as metrics-server does."""
    cloud_controller: Annotated[bool, Field(strict=True, examples=[True])] = False
    """Let new nodes wait for DigitalOcean's cloud controller manager."""
    allow_world_ssh: Annotated[bool, Field(strict=True, examples=[True])] = False
    versions: Annotated[Versions, Field(examples=[{"kubernetes": "1.37.1"}])] = Versions()
    images: Annotated[Images, Field(examples=[{"coredns": COREDNS}])] = Images()
    mirror: Annotated[Mirror | None, Field(examples=[{"url": "https://mirror.example.com/releases"}])] = None
    authorization_mode: Annotated[AuthorizationMode, Field(examples=["Node,RBAC"])] = "Node,RBAC"
    extra_flags: Annotated[
        Mapping[Component, Mapping[str, FlagValue]], Field(examples=[{"kube-apiserver": {"v": "2"}}])
    ] = Field(default_factory=dict)
    """Component → flag without dashes → value."""
    certificates: Annotated[Certificates, Field(examples=[{"leafHours": 8_760}])] = Certificates()
    ssh_ca_public_key: Annotated[
        Annotated[str, AfterValidator(values.ssh_public_key)] | None,
        Field(examples=["ssh-ed25519 AAAA… people@example.com"]),
    ] = None
    encryption_keys: Annotated[
        tuple[Label, ...], Field(examples=[["key1"]]), AfterValidator(values.some_without_repeats)
    ] = ("key1",)
    """Names of the keys that encrypt secrets at rest: the first one writes, all of them read."""

    protect: Annotated[bool, Field(strict=True, examples=[True])] = False
    """Refuse to delete keys and the network, without which nothing of the cluster can be read or made again."""

    @property
    def topology(self) -> Topology:
        """All hosts of the cluster."""
        return Topology.of(
            cluster=self.cluster, domain=self.domain, pools=self.pools, droplets_as_nodes=self.cloud_controller
        )

    @property
    def firewalls(self) -> tuple[Firewall, ...]:
        """All firewalls of the cluster."""
        return firewalls(
            api_port=self.api_port,
            ssh_allowed=self.ssh_allowed,
            api_allowed=self.api_allowed,
            node_ports_allowed=self.node_ports_allowed,
            ingress=(Allow(port=each.port, ranges=each.ranges) for each in self.ingress_ports),
            icmp_allowed=self.icmp_allowed,
            outbound=(Allow(port=each.port, ranges=each.ranges) for each in self.outbound_allowed),
            nodes_reach_kubelets=self.nodes_reach_kubelets,
            cloud_controller=self.cloud_controller,
            mirror=self.mirror.url if self.mirror else None,
            registry=self.mirror.registry if self.mirror else None,
        )
