"""Hosts as Kubernetes sees them: names, labels, taints, and the order in which changes reach them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from model.digitalocean import LEAST_MEMORY_GIB
from model.firewalls import firewalls
from model.roles import Role, role_labels
from model.services import kubelet
from model.taints import Taint
from model.topology import KUBELET_ROLES, Topology, api_service_address, dns_service_address
from settings.labels import taint
from tests.unit.rendered import Pool


def topology(*pools: Pool) -> Topology:
    return Topology.of(cluster="dev", domain="k8s.example.com", pools=pools)


def test_a_role_has_its_memory_in_every_table() -> None:
    assert LEAST_MEMORY_GIB.keys() == kubelet.RESERVED.keys() == set(Role)


def test_a_role_of_nodes_has_a_label_and_the_nodes_firewalls() -> None:
    walls = {wall.name: wall for wall in firewalls(api_port=6443, ssh_allowed=(), api_allowed=(), mirror=None)}
    assert {*walls["nodes"].roles} == {*walls["overlay"].roles} == KUBELET_ROLES
    assert [role for role in KUBELET_ROLES if not role_labels([role])] == []


def test_a_node_is_called_by_the_name_of_its_private_address() -> None:
    [node] = topology(Pool("gpu", (Role.KUBE_NODE,), count=1)).nodes
    assert node.node_name == node.private_name == "gpu-0.internal.k8s.example.com"


@pytest.mark.parametrize(
    ("roles", "labels", "taints"),
    [
        ((Role.KUBE_MASTER,), {"control-plane"}, ["node-role.kubernetes.io/control-plane:NoSchedule"]),
        ((Role.ETCD, Role.KUBE_MASTER), {"control-plane"}, ["node-role.kubernetes.io/control-plane:NoSchedule"]),
        ((Role.KUBE_NODE,), {"node"}, []),
        ((Role.KUBE_MASTER, Role.KUBE_NODE), {"control-plane", "node"}, []),
    ],
)
def test_roles_are_labels_and_keep_pods_off_dedicated_masters(
    roles: tuple[Role, ...], labels: set[str], taints: list[str]
) -> None:
    [node] = topology(Pool("a", roles, count=1)).nodes
    assert node.labels == {f"node-role.kubernetes.io/{name}": "" for name in labels}
    assert list(map(str, node.taints)) == taints


def test_pool_labels_and_taints_add_to_those_of_its_roles() -> None:
    dedicated = Taint(key="dedicated", value="ci", effect="NoExecute")
    [node] = topology(Pool("a", (Role.KUBE_MASTER,), count=1, labels={"disk": "nvme"}, taints=(dedicated,))).nodes
    assert node.labels == {"disk": "nvme", "node-role.kubernetes.io/control-plane": ""}
    assert list(map(str, node.taints)) == ["dedicated=ci:NoExecute", "node-role.kubernetes.io/control-plane:NoSchedule"]


def test_hosts_of_etcd_alone_are_no_nodes_of_kubernetes() -> None:
    pools = Pool("etcd", (Role.ETCD,)), Pool("m", (Role.KUBE_MASTER,), count=2), Pool("n", (Role.KUBE_NODE,), count=1)
    assert [node.name for node in topology(*pools).nodes] == ["m-0", "m-1", "n-0"]


def test_hosts_are_grouped_by_their_pools_in_order() -> None:
    found = topology(
        Pool("n", (Role.KUBE_NODE,), count=2), Pool("none", (Role.KUBE_NODE,), count=0), Pool("m", (Role.KUBE_MASTER,))
    )
    assert [[node.name for node in pool] for pool in found.pools_of(found.nodes)] == [
        ["n-0", "n-1"],
        ["m-0", "m-1", "m-2"],
    ]


@pytest.mark.parametrize("services", ["10.32.0.0/24", "10.32.0.0/28"])
def test_the_api_and_dns_addresses_fit_the_narrowest_range(services: str) -> None:
    assert api_service_address(IPv4Network(services)) == IPv4Address("10.32.0.1")
    assert dns_service_address(IPv4Network(services)) == IPv4Address("10.32.0.10")


@pytest.mark.parametrize("text", ["dedicated=gpu:NoSchedule", "example.com/spot:NoExecute", "a=b:PreferNoSchedule"])
def test_a_taint_is_written_as_it_is_read(text: str) -> None:
    assert str(taint(text)) == text


def test_a_value_may_be_left_empty() -> None:
    assert taint("spot=:NoExecute") == taint("spot:NoExecute") == Taint(key="spot", effect="NoExecute")


@pytest.mark.parametrize("text", ["", ":", ":NoSchedule", "=a:NoSchedule", "spot", "spot:", "a=b:noschedule"])
def test_what_is_no_taint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Write "):
        taint(text)
