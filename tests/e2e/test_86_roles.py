"""Roles that are given to hosts and taken from them again: what a host is left with, and what clients notice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.cluster import Cluster, Load, resolve
from tests.e2e.pods import node_name
from tests.waiting import wait_for

NODES = ("k8s-node-0", "k8s-node-1")
MEMBERS = ("etcd-0", "etcd-1", "etcd-2")
API = "api.lab.triplane.test"
CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


NODE = ("kubelet", "kube-proxy", "containerd", "flanneld")


@pytest.fixture(scope="module", autouse=True)
def _as_before(cluster: Cluster) -> Iterator[None]:
    yield
    roles(cluster, nodes=["kube-node"], members=["etcd"])


def roles(cluster: Cluster, *, nodes: list[str], members: list[str]) -> None:
    """Write the roles of the pools of nodes and of members, and `up`."""
    for position, wanted in ((2, nodes), (0, members)):
        path = f"triplane:pools[{position}].roles"
        cluster.unset(path)
        for place, role in enumerate(wanted):
            cluster.configure(f"{path}[{place}]", role)
    cluster.up()
    cluster.forget_outputs()


def load(cluster: Cluster) -> Load:
    with cluster.api() as api:
        return Load(api)


def members(cluster: Cluster) -> set[str]:
    lines = cluster.run("etcdctl", "member", "list").splitlines()
    return {line.split(", ")[2] for line in lines if ", started, " in line}


def endpoints(cluster: Cluster) -> set[str]:
    """Addresses behind the service `kubernetes`."""
    with cluster.api() as api:
        path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector="
        found = api.request("GET", f"{path}kubernetes.io/service-name=kubernetes")[1]["items"]
    return {address for each in found for end in each["endpoints"] for address in end["addresses"]}


def private(cluster: Cluster, *hosts: str) -> set[str]:
    return {cluster.hosts[host]["privateAddress"] for host in hosts}


def public(cluster: Cluster, *hosts: str) -> set[str]:
    return {cluster.hosts[host]["publicAddress"] for host in hosts}


def off(cluster: Cluster, host: str, *units: str) -> bool:
    """Whether these neither run nor would run after a boot."""
    return not any(
        cluster.answers(host, f"systemctl is-active {unit} || systemctl is-enabled {unit} || pgrep -x {unit[:15]}")
        for unit in units
    )


def test_hosts_get_the_roles_of_others(cluster: Cluster) -> None:
    with load(cluster).running() as calls:
        roles(cluster, nodes=["etcd", "kube-master", "kube-node"], members=["etcd", "kube-node"])
    assert calls.failures == []
    assert members(cluster) == {*MEMBERS, *NODES}
    assert public(cluster, *NODES) < set(resolve(API))
    assert private(cluster, *NODES) < endpoints(cluster)
    assert cluster.plan() == {}


def test_roles_that_are_taken_leave_nothing_that_runs(cluster: Cluster) -> None:
    with load(cluster).running() as calls:
        roles(cluster, nodes=["kube-node"], members=["etcd"])
    assert calls.failures == []
    assert calls.requests > 100
    assert cluster.plan() == {}
    assert cluster.is_well()
    for host in NODES:
        assert off(cluster, host, *CONTROL_PLANE, "etcd")
    for host in MEMBERS:
        assert off(cluster, host, *NODE)
        links = cluster.ssh(host, "ip -oneline link; nft list tables; cat /proc/mounts")
        assert [word for word in ("cni0", "flannel", "veth", "kube-proxy", "/kubelet/") if word in links] == []
        assert "cannot access" in cluster.ssh(host, "ls /etc/kubernetes/kubelet /var/lib/kubelet/* 2>&1 || true")


def test_roles_that_are_taken_leave_no_keys_and_no_data(cluster: Cluster) -> None:
    for host in NODES:
        found = cluster.ssh(host, "find /etc /var/lib /run -xdev -name '*.key' -o -xdev -name '*.kubeconfig'").split()
        # A node's own: what its kubelet, kube-proxy and flanneld show.
        assert sorted(path for path in found if path.startswith(("/etc/kubernetes", "/etc/etcd", "/etc/flannel"))) == [
            "/etc/flannel/pki/etcd-client.key",
            "/etc/kubernetes/kube-proxy.kubeconfig",
            "/etc/kubernetes/kubelet.kubeconfig",
            "/etc/kubernetes/kubelet/serving.key",
        ]
        left = cluster.ssh(host, "ls -d /var/lib/etcd /etc/kubernetes/encryption.yaml /opt/triplane/etcd || true")
        assert [line for line in left.splitlines() if "cannot access" not in line] == []


def test_nobody_is_sent_to_a_former_master(cluster: Cluster) -> None:
    masters = [f"k8s-master-{number}" for number in range(3)]
    assert set(resolve(API)) == public(cluster, *masters)
    assert endpoints(cluster) == private(cluster, *masters)
    with cluster.api() as api:
        labels = api.request("GET", f"/api/v1/nodes/{node_name(NODES[0])}")[1]["metadata"]["labels"]
        found = [api.request("GET", f"/api/v1/nodes/{node_name(host)}")[0] for host in MEMBERS]
    assert "node-role.kubernetes.io/control-plane" not in labels
    assert found == [404] * 3


def test_a_member_that_comes_back_joins_with_empty_hands(cluster: Cluster) -> None:
    with load(cluster).running() as calls:
        roles(cluster, nodes=["etcd", "kube-node"], members=["etcd"])
        assert members(cluster) == {*MEMBERS, *NODES}
        roles(cluster, nodes=["kube-node"], members=["etcd"])
    assert calls.failures == []
    wait_for("three members", lambda: members(cluster) == {*MEMBERS})
    assert cluster.plan() == {}
