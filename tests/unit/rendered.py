"""Everything that Triplane renders for hosts, by the name of its golden file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network

from model.addons import coredns, rbac
from model.cluster import Cluster
from model.documents import kubeconfig
from model.releases import Download, Releases, load
from model.roles import Role
from model.services import (
    containerd,
    etcd,
    flannel,
    kube_apiserver,
    kube_controller_manager,
    kube_proxy,
    kube_scheduler,
    kubelet,
)
from model.steps import first_steps, install, objects, registration, uninstall
from model.steps.objects import Rollout
from model.steps.uninstall import Job
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
CLUSTER = Cluster(
    topology=TOPOLOGY,
    releases=Releases(
        catalog=load(),
        versions={
            "kubernetes": "1.37.1",
            "etcd": "3.6.14",
            "flannel": "0.27.4",
            "containerd": "2.3.4",
            "runc": "1.4.3",
            "cni-plugins": "1.9.1",
        },
    ),
    pods=IPv4Network("10.200.0.0/16"),
    services=IPv4Network("10.32.0.0/24"),
    api_port=6443,
    extra_flags={},
    pause=f"registry.example.com:5000/pause:3.10.1@sha256:{'0' * 64}",
    registry="https://mirror.example.com",
)


def with_flags(**flags: Mapping[str, str]) -> Cluster:
    """The cluster with extra flags, by the component's name with underscores."""
    return replace(CLUSTER, extra_flags={name.replace("_", "-"): value for name, value in flags.items()})


def steps() -> dict[str, str]:
    """Scripts that run on hosts."""
    master, worker = TOPOLOGY.masters[0], WORKERS.hosts[0]
    first, *_, last = TOPOLOGY.etcd
    verbose = with_flags(
        kube_apiserver={"v": "2"}, kubelet={"v": "2"}, kube_proxy={"v": "2"}, etcd={"snapshot-count": "5000"}
    )
    return {
        "identity.sh": first_steps.identity(),
        "host.sh": first_steps.script(size="s-1vcpu-2gb", overlay=True, ssh_ca_public_key="ssh-ed25519 AAAA people"),
        "host-etcd.sh": first_steps.script(size="s-1vcpu-2gb", overlay=False, ssh_ca_public_key=None),
        "install.sh": install.script(
            name="etcd",
            directory="/opt/triplane/etcd/3.6.14",
            downloads=[Download(url="https://example.com/etcd-v3.6.14-linux-amd64.tar.gz", sha256="0" * 64)],
            links=["etcdctl"],
        ),
        "etcd-first.sh": etcd.service(verbose, first, first=True).script,
        "etcd-last.sh": etcd.service(CLUSTER, last, first=False).script,
        "etcd-members.sh": etcd.members_script(CLUSTER, first),
        "etcd-leave.sh": etcd.leave_script(CLUSTER, last),
        "flannel-network.sh": flannel.network_script(CLUSTER, first=True),
        "flannel-network-again.sh": flannel.network_script(CLUSTER, first=False),
        "flannel.sh": flannel.service(CLUSTER, master).script,
        "kube-apiserver.sh": kube_apiserver.service(verbose, master).script,
        "kube-apiserver-abac.sh": kube_apiserver.service(replace(verbose, authorization_mode="ABAC"), master).script,
        "kube-controller-manager.sh": kube_controller_manager.service(CLUSTER, master).script,
        "kube-scheduler.sh": kube_scheduler.service(CLUSTER, master).script,
        "kubelet-master.sh": kubelet.service(verbose, master).script,
        "kubelet-node.sh": kubelet.service(replace(CLUSTER, cloud_controller=True), worker).script,
        "kube-proxy.sh": kube_proxy.service(verbose, master).script,
        "containerd.sh": containerd.service(CLUSTER, master).script,
        "rbac.sh": objects.script(name="rbac", objects=rbac.rbac()),
        "coredns.sh": objects.script(
            name="coredns",
            objects=coredns.coredns(image=f"registry.example.com/coredns@sha256:{'0' * 64}", services=CLUSTER.services),
            rollout=Rollout(deployment=coredns.NAME, labels=coredns.LABELS),
        ),
        "arrival.sh": registration.arrival(host=worker),
        "registration-master.sh": registration.script(host=master),
        "registration-node.sh": registration.script(host=worker),
        "removal.sh": registration.removal(host=worker),
        **{f"uninstall-{job}.sh": uninstall.script(job, host=first) for job in Job},
    }


def documents() -> dict[str, str]:
    """Files that reach hosts on stdin or with the droplet."""
    return {
        "user-data.yaml": first_steps.user_data("the one-time key"),
        "encryption.yaml": kube_apiserver.encryption_configuration([("key2", "c2Vjb25k"), ("key1", "Zmlyc3Q=")]),
        "kubeconfig.yaml": kubeconfig(
            cluster="lab",
            server="https://api.k8s.example.com:6443",
            user="admin",
            ca="authority",
            certificate="certificate",
            key="key",
        ),
    }
