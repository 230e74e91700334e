"""With one member and one master dead: what goes on, what is refused, and what is said."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.e2e.cluster import Cluster, Load
from tests.e2e.pods import namespace, node_name, serve
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def two_hosts_dead(cluster: Cluster) -> Iterator[None]:
    for name in ("etcd-2", "k8s-master-2"):
        cluster.power(name, "power_off")
    yield
    for name in ("etcd-2", "k8s-master-2"):
        cluster.power(name, "power_on")
    wait_for("everything to be well again", cluster.is_well)


def test_the_api_writes_on_with_one_member_and_one_master_dead(cluster: Cluster, two_hosts_dead: None) -> None:
    with cluster.api() as api, Load(api).running() as load:
        wait_for("thirty writes and reads", lambda: load.requests >= 60)
    assert load.failures == []
    assert load.lost == set()
    assert load.timed_out == 0


def test_the_cluster_takes_pods_with_a_member_and_a_master_down(cluster: Cluster, two_hosts_dead: None) -> None:
    with namespace(cluster, "e2e-dead-hosts") as place:
        alive = ("k8s-master-0", "k8s-master-1", "k8s-node-0", "k8s-node-1")
        for host in alive:
            spec = serve(nodeName=node_name(host), tolerations=[{"operator": "Exists"}])
            place.create("Pod", host, labels={"app": "alive"}, spec=spec)
        place.all_ready("alive", len(alive))


def test_status_names_what_is_dead(cluster: Cluster, two_hosts_dead: None) -> None:
    status = cluster.run("status", fails=True)
    assert re.search(r"etcd-2 .*off", status)
    assert re.search(r"k8s-master-2 .*off", status)


@pytest.mark.long  # minutes of dialling
def test_a_change_stops_at_a_host_that_does_not_answer(cluster: Cluster, two_hosts_dead: None) -> None:
    cluster.verbosity("kube-scheduler", "1")
    output = cluster.run("up", fails=True)
    assert "k8s-master-2-kube-scheduler" in output
    assert re.search(r"dial tcp .*:22: ", output)
    assert cluster.plan() == {"k8s-master-2-kube-scheduler": "update"}


def test_members_refuse_a_restart_that_would_cost_the_quorum(cluster: Cluster, two_hosts_dead: None) -> None:
    cluster.configure("triplane:extraFlags.etcd.snapshot-count", "30000")
    output = cluster.run("up", fails=True)
    assert "a quorum without this member" in output
    assert "host etcd-0" in output
    with cluster.api() as api:
        assert api.request("GET", "/readyz")[0] == 200
