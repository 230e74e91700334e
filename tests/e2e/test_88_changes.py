"""Hosts and members that come and go, while a client writes and reads through the API: nothing fails or is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.cluster import Cluster, Load

ETCD, MASTERS = "triplane:pools[0]", "triplane:pools[1]"


@contextmanager
def no_loss(cluster: Cluster) -> Iterator[None]:
    """A client works all the time; afterwards there is nothing left to do."""
    with cluster.api() as api, Load(api).running() as load:
        yield
    cluster.forget_outputs()
    assert load.failures == []
    assert load.lost == set()
    assert load.requests > 100
    assert cluster.plan() == {}


def voters(cluster: Cluster) -> set[str]:
    """Names of the members that have a vote."""
    answer = json.loads(cluster.run("etcdctl", "member", "list", "--write-out=json"))
    return {member["name"] for member in answer["members"] if not member.get("isLearner")}


def etcd(count: int, pool: str = "etcd") -> set[str]:
    return {f"{pool}-{index}" for index in range(count)}


def test_etcd_grows_and_shrinks_with_a_dead_member(cluster: Cluster) -> None:
    cluster.configure(f"{ETCD}.count", "5")
    with no_loss(cluster):
        cluster.up()
        assert voters(cluster) == etcd(5)
    cluster.power("etcd-4", "power_off")
    cluster.configure(f"{ETCD}.count", "3")
    with no_loss(cluster):
        cluster.up()
        assert voters(cluster) == etcd(3)


@pytest.mark.long  # the same steps as above, and plays hold the order
def test_etcd_shrinks_to_one_member_and_grows_again(cluster: Cluster) -> None:
    for count in (1, 3):
        cluster.configure(f"{ETCD}.count", str(count))
        with no_loss(cluster):
            cluster.up()
            assert voters(cluster) == etcd(count)


@pytest.mark.long
def test_a_changed_image_replaces_members_one_at_a_time(cluster: Cluster) -> None:
    """One `up` replaces one host or more, and stops where the next one must wait; as many as hosts are enough."""
    before = {host: cluster.droplet(host)["id"] for host in etcd(3)}
    cluster.configure(f"{ETCD}.image", "ubuntu-24-04-x64")
    with cluster.api() as api, Load(api).running() as load:
        for _ in before:
            cluster.tries("up", timeout=600)
            assert len(voters(cluster)) >= 2
    assert load.failures == []
    assert load.lost == set()
    cluster.forget_outputs()
    assert cluster.plan() == {}
    assert voters(cluster) == etcd(3)
    assert all(cluster.droplet(host)["id"] != droplet for host, droplet in before.items())


@pytest.mark.long
def test_the_first_master_is_replaced(cluster: Cluster) -> None:
    before = cluster.droplet("k8s-master-0")["id"]
    urns = cluster.run("pulumi", "stack", "--show-urns").split()
    urn = next(word for word in urns if word.endswith("Droplet::k8s-master-0"))
    with no_loss(cluster):
        cluster.run("pulumi", "up", "--yes", "--skip-preview", "--replace", urn)
        assert cluster.droplet("k8s-master-0")["id"] != before
    assert cluster.is_well()


@pytest.mark.long
def test_a_master_is_removed_and_made_again(cluster: Cluster) -> None:
    for count in (2, 3):
        cluster.configure(f"{MASTERS}.count", str(count))
        with no_loss(cluster):
            cluster.up()
        assert len(cluster.outputs["hosts"]) == 5 + count
    assert cluster.is_well()


@pytest.mark.long
def test_the_role_moves_to_another_pool_and_back(cluster: Cluster) -> None:
    pools = cluster.setting("pools")
    stacked = [pools[1] | {"roles": ["etcd", "kube-master"]}, pools[2]]
    for wanted, pool in ((stacked, "k8s-master"), (pools, "etcd")):
        cluster.write("pools", wanted)
        with no_loss(cluster):
            cluster.up()
            assert voters(cluster) == etcd(3, pool)


def test_a_pool_of_members_gets_another_name(cluster: Cluster) -> None:
    cluster.configure(f"{ETCD}.name", "db")
    with no_loss(cluster):
        cluster.up()
        assert voters(cluster) == etcd(3, "db")
    cluster.configure(f"{ETCD}.name", "etcd")
    with no_loss(cluster):
        cluster.up()
        assert voters(cluster) == etcd(3)
