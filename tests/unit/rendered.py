"""Everything that Triplane renders for hosts, by the name of its golden file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from model import manifests
from model.objects import coredns, rbac
from model.releases import Download
from model.roles import Role
from model.steps import (
    apiserver,
    containerd,
    controller_manager,
    etcd,
    flannel,
    host,
    install,
    kube_proxy,
    kubelet,
    objects,
    registration,
    scheduler,
)
from model.steps.objects import Rollout
from model.taints import Taint
from model.topology import Topology


@dataclass(frozen=True)
class Pool:
    name: str
    roles: tuple[Role, ...]
    count: int = 3
    size: str = "s-1vcpu-2gb"
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()


TOPOLOGY = Topology.of(
    cluster="lab",
    domain="k8s.example.com",
    pools=[Pool("etcd", (Role.ETCD,)), Pool("k8s-master", (Role.KUBE_MASTER,))],
)
WORKERS = Topology.of(
    cluster="lab",
    domain="k8s.example.com",
    pools=[Pool("gpu", (Role.KUBE_NODE,), taints=(Taint(key="dedicated", value="gpu", effect="NoSchedule"),))],
)
API = f"https://{TOPOLOGY.api_private_name}:6443"
PODS = IPv4Network("10.200.0.0/16")
SERVICES = IPv4Network("10.32.0.0/24")
PAUSE = f"registry.example.com:5000/pause:3.10.1@sha256:{'0' * 64}"


def _apiserver(mode: str) -> str:
    return apiserver.script(
        topology=TOPOLOGY,
        services=SERVICES,
        api_port=6443,
        authorization_mode=mode,
        version="1.37.1",
        extra={"v": "2"},
    )


def steps() -> dict[str, str]:
    """Scripts that run on hosts."""
    node = TOPOLOGY.masters[0]
    return {
        "identity.sh": host.identity(),
        "host.sh": host.script(size="s-1vcpu-2gb", overlay=True, ssh_ca_public_key="ssh-ed25519 AAAA people"),
        "host-etcd.sh": host.script(size="s-1vcpu-2gb", overlay=False, ssh_ca_public_key=None),
        "install.sh": install.script(
            name="etcd",
            directory="/opt/triplane/etcd/3.6.14",
            downloads=[Download(url="https://example.com/etcd-v3.6.14-linux-amd64.tar.gz", sha256="0" * 64)],
            links=["etcdctl"],
        ),
        "etcd-first.sh": etcd.script(
            node=TOPOLOGY.etcd[0], topology=TOPOLOGY, version="3.6.14", extra={"snapshot-count": "5000"}, first=True
        ),
        "etcd-last.sh": etcd.script(node=TOPOLOGY.etcd[2], topology=TOPOLOGY, version="3.6.14", extra={}, first=False),
        "flannel-network.sh": flannel.network_script(pods=PODS, etcd_version="3.6.14"),
        "flannel.sh": flannel.script(topology=TOPOLOGY, version="0.27.4", extra={}),
        "kube-apiserver.sh": _apiserver("Node,RBAC"),
        "kube-apiserver-abac.sh": _apiserver("ABAC"),
        "kube-controller-manager.sh": controller_manager.script(
            node=node, cluster="lab", pods=PODS, services=SERVICES, version="1.37.1", extra={}
        ),
        "kube-scheduler.sh": scheduler.script(node=node, version="1.37.1", extra={}),
        "kubelet-master.sh": kubelet.script(
            node=node, services=SERVICES, server=API, version="1.37.1", extra={"v": "2"}
        ),
        "kubelet-node.sh": kubelet.script(
            node=WORKERS.nodes[0], services=SERVICES, server=API, version="1.37.1", extra={}, cloud_controller=True
        ),
        "kube-proxy.sh": kube_proxy.script(
            node=node, pods=PODS, services=SERVICES, server=API, version="1.37.1", extra={"v": "2"}
        ),
        "containerd.sh": containerd.script(
            versions={"containerd": "2.3.4", "runc": "1.4.3", "cni-plugins": "1.9.1"},
            pause=PAUSE,
            registry="https://mirror.example.com",
        ),
        "rbac.sh": objects.script(name="rbac", objects=rbac.rbac()),
        "coredns.sh": objects.script(
            name="coredns",
            objects=coredns.coredns(image=f"registry.example.com/coredns@sha256:{'0' * 64}", services=SERVICES),
            rollout=Rollout(deployment=coredns.NAME, labels=coredns.LABELS),
        ),
        "arrival.sh": registration.arrival(node=WORKERS.nodes[0]),
        "registration-master.sh": registration.script(node=node),
        "registration-node.sh": registration.script(node=WORKERS.nodes[0]),
        "removal.sh": registration.removal(node=WORKERS.nodes[0]),
    }


def documents() -> dict[str, str]:
    """Files that reach hosts on stdin or with the droplet."""
    return {
        "user-data.yaml": host.user_data("the one-time key"),
        "encryption.yaml": manifests.encryption_configuration([("key2", "c2Vjb25k"), ("key1", "Zmlyc3Q=")]),
        "kubeconfig.yaml": manifests.kubeconfig(
            cluster="lab",
            server="https://api.k8s.example.com:6443",
            user="admin",
            ca="authority",
            certificate="certificate",
            key="key",
        ),
    }
