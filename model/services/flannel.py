"""flannel: a subnet for each host's pods, and the network between these subnets."""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from model import flags, paths, ports
from model.certificates import Authority, etcd_client
from model.cluster import Cluster
from model.files import HostFile
from model.flags import FlagRules, arguments
from model.secrets import SecretFile, authority, pair
from model.service import HOST_ENVIRONMENT, Binaries, Health, Service, define
from model.services import etcd
from model.steps import step, unit
from model.topology import KUBELET_ROLES, HostSpec

NAME = "flannel"
UNIT = "flanneld"
ROLES = tuple(KUBELET_ROLES)
HEALTH = Health(url=f"http://127.0.0.1:{ports.FLANNEL_HEALTH.number}/healthz")
PREFIX = "/flannel.com/network"
INTERFACE = "flannel.1"
"""`flannel.` and the VNI."""
BINARY = "flanneld-amd64"

PKI = "/etc/flannel/pki"
MEMBERS = "/etc/flannel/etcd-members"
SYSCTLS = "/etc/sysctl.d/80-triplane-flannel.conf"
OWN_PATHS = (
    "/etc/flannel",
    str(PurePosixPath(paths.FLANNEL_SUBNET).parent),
    SYSCTLS,
    paths.versions(NAME),
    paths.unit(UNIT),
)
CA = paths.certificate(PKI, "etcd-server-ca")
CLIENT = (paths.certificate(PKI, "etcd-client"), paths.key(PKI, "etcd-client"))

FLAG_RULES = FlagRules(
    owned={
        **dict.fromkeys(("etcd-cafile", "etcd-certfile", "etcd-keyfile"), flags.CERTIFICATES),
        **dict.fromkeys(("etcd-username", "etcd-password"), flags.CERTIFICATES),
        **dict.fromkeys(("etcd-endpoints", "etcd-prefix", "iface", "public-ip"), flags.ADDRESSES),
        "subnet-file": flags.PATHS,
        "kube-subnet-mgr": "etcd, where flannel keeps its leases",
    },
)


def network(pods: IPv4Network) -> str:
    """flannel's configuration in etcd: VXLAN, with nftables (flannel, configuration.md)."""
    return json.dumps(
        {"Network": str(pods), "EnableNFTables": True, "Backend": {"Type": "vxlan", "VNI": 1}}, separators=(",", ":")
    )


def network_script(cluster: Cluster, *, first: bool) -> str:
    """Write the network's configuration to etcd, on an etcd host; it must be there already if not `first`."""
    return step(
        "flannel-network",
        first=first,
        etcdctl_environment=paths.ETCD_CTL_ENVIRONMENT,
        prefix=PREFIX,
        network=network(cluster.pods),
    )


def secrets(_cluster: Cluster, host: HostSpec) -> tuple[SecretFile, ...]:
    """flanneld's client certificate for etcd, and the authority of etcd's certificate."""
    return (authority(CA, Authority.ETCD_SERVER), *pair(CLIENT, etcd_client("flannel-etcd-client", host)))


def service(cluster: Cluster, host: HostSpec) -> Service:
    """Run flanneld on this host's VPC address."""
    own = {
        "etcd-endpoints": "${ETCD_MEMBERS}",
        "etcd-prefix": PREFIX,
        "etcd-cafile": CA,
        "etcd-certfile": CLIENT[0],
        "etcd-keyfile": CLIENT[1],
        # By address, because the first interface of a droplet is the public one.
        "iface": "${PRIVATE_ADDRESS}",
        "ip-masq": "true",
        "healthz-ip": "127.0.0.1",
        "healthz-port": str(ports.FLANNEL_HEALTH.number),
        "subnet-file": paths.FLANNEL_SUBNET,
    }
    return define(
        NAME,
        name=NAME,
        binaries=(Binaries(component=NAME, file="flanneld", step=NAME),),
        settled=(HostFile(path=SYSCTLS, content="net.ipv4.ip_forward = 1\n", mode="644"),),
        files=(
            HostFile(path=MEMBERS, content=etcd.members(cluster.topology)),
            unit(
                UNIT,
                UNIT,
                host_environment=paths.HOST_ENVIRONMENT,
                members=MEMBERS,
                installed=cluster.installed(NAME),
                binary=BINARY,
                arguments=arguments(own, cluster.flags(NAME), dashes="-"),
            ),
        ),
        environment=HOST_ENVIRONMENT,
        secrets=secrets(cluster, host),
        health=HEALTH,
        subnet=paths.FLANNEL_SUBNET,
        interface=INTERFACE,
        names=" ".join(str(urlsplit(url).hostname) for url in cluster.topology.etcd_client_urls),
    )
