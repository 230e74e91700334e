"""flannel: a subnet for each host's pods, and the way between them."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network
from urllib.parse import urlsplit

from model import paths, ports
from model.files import HostFile
from model.flags import arguments
from model.manifests import flannel_network
from model.steps import step, unit
from model.topology import Topology

PREFIX = "/flannel.com/network"
INTERFACE = "flannel.1"
"""`flannel.` and the VNI."""
BINARY = "flanneld-amd64"

CA = paths.certificate(paths.FLANNEL_PKI, "etcd-server-ca")
CLIENT = (paths.certificate(paths.FLANNEL_PKI, "etcd-client"), paths.key(paths.FLANNEL_PKI, "etcd-client"))


def network_script(*, pods: IPv4Network, etcd_version: str) -> str:
    """Write the network's configuration to etcd, on an etcd host."""
    return step(
        "flannel-network",
        etcd=paths.installed("etcd", etcd_version),
        etcdctl_environment=paths.ETCD_CTL_ENVIRONMENT,
        prefix=PREFIX,
        network=flannel_network(pods),
    )


def members(topology: Topology) -> str:
    """The member list as an environment file."""
    return f'ETCD_MEMBERS="{",".join(topology.etcd_client_urls)}"\n'


def script(*, topology: Topology, version: str, extra: Mapping[str, str]) -> str:
    """Run flanneld on this host's VPC address."""
    flags = {
        "etcd-endpoints": "${ETCD_MEMBERS}",
        "etcd-prefix": PREFIX,
        "etcd-cafile": CA,
        "etcd-certfile": CLIENT[0],
        "etcd-keyfile": CLIENT[1],
        # By address: the first interface of a droplet is the public one.
        "iface": "${PRIVATE_ADDRESS}",
        "ip-masq": "true",
        "healthz-ip": "127.0.0.1",
        "healthz-port": str(ports.FLANNEL_HEALTH.number),
        "subnet-file": paths.FLANNEL_SUBNET,
    }
    files = (
        HostFile(path=paths.FLANNEL_MEMBERS, content=members(topology)),
        HostFile(path="/etc/sysctl.d/80-triplane-flannel.conf", content="net.ipv4.ip_forward = 1\n", mode="644"),
        unit(
            "flanneld",
            "flanneld",
            host_environment=paths.HOST_ENVIRONMENT,
            members=paths.FLANNEL_MEMBERS,
            installed=paths.installed("flannel", version),
            binary=BINARY,
            arguments=arguments(flags, extra, dashes="-"),
        ),
    )
    return step(
        "flannel",
        files=files,
        subnet=paths.FLANNEL_SUBNET,
        interface=INTERFACE,
        health_port=ports.FLANNEL_HEALTH.number,
        names=" ".join(str(urlsplit(url).hostname) for url in topology.etcd_client_urls),
        depends_on=" ".join((paths.unit("flanneld"), paths.FLANNEL_MEMBERS, paths.HOST_ENVIRONMENT, CA, *CLIENT)),
    )
