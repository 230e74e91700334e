"""Nodes that wait for DigitalOcean's cloud controller manager, and are what it looks for."""

from __future__ import annotations

import pytest

from model.addons.coredns import UNINITIALIZED
from tests.e2e.cluster import Cluster
from tests.e2e.pods import namespace, node_name, ready
from tests.waiting import wait_for

pytestmark = pytest.mark.long

POOL = "triplane:pools[2]"


def test_a_new_node_waits_for_the_cloud_controller(cluster: Cluster) -> None:
    cluster.configure("triplane:cloudController", "true")
    cluster.configure(f"{POOL}.count", "3")
    cluster.up()
    cluster.forget_outputs()
    assert cluster.plan() == {}
    with namespace(cluster, "e2e-cloud") as place:
        # A node that was there before is as it was.
        assert "taints" not in place.ask("GET", f"/api/v1/nodes/{node_name('k8s-node-1')}")["spec"]
        node = place.ask("GET", f"/api/v1/nodes/{node_name('k8s-node-2')}")
    assert ready(node)
    assert UNINITIALIZED in [taint["key"] for taint in node["spec"]["taints"]]
    droplet = cluster.droplet("k8s-node-2")
    assert droplet["name"] == node_name("k8s-node-2")
    assert node["spec"]["providerID"] == f"digitalocean://{droplet['id']}"


def test_a_recreated_member_rejoins_under_its_old_name(cluster: Cluster) -> None:
    lost = cluster.droplet("etcd-1")["id"]
    assert cluster.digitalocean.delete(f"/droplets/{lost}").status_code == 204
    cluster.run("up", "--refresh")
    cluster.forget_outputs()
    # To itself it is not what the name server says.
    name = cluster.hosts["etcd-1"]["privateName"]
    assert cluster.ssh("etcd-1", f"getent hosts {name}").split()[0] == "127.0.1.1"
    assert cluster.run("etcdctl", "endpoint", "health", "--cluster").count("is healthy") == 3
    assert cluster.plan() == {}


def test_without_a_cloud_controller_all_is_as_it_was(cluster: Cluster) -> None:
    cluster.unset("triplane:cloudController")
    cluster.configure(f"{POOL}.count", "2")
    cluster.up()
    cluster.forget_outputs()
    wait_for("everything to be well again", cluster.is_well)
    assert cluster.plan() == {}
