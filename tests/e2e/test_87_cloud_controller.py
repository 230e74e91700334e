"""Nodes that wait for DigitalOcean's cloud controller manager, and are what it looks for."""

from __future__ import annotations

import pytest

from model.objects.coredns import UNINITIALIZED
from tests.e2e.cluster import Cluster
from tests.e2e.pods import namespace, node_name, ready
from tests.waiting import wait_for

pytestmark = pytest.mark.long


def test_a_new_node_waits_for_the_cloud_controller_and_is_found_by_its_droplet(cluster: Cluster) -> None:
    cluster.configure("triplane:cloudController", "true")
    cluster.up()
    cluster.forget_outputs()
    assert cluster.plan() == {}
    name = node_name("k8s-node-1")
    with namespace(cluster, "e2e-cloud") as place:
        # A node that was there before is as it was; one that registers now has the taint.
        assert "taints" not in place.ask("GET", f"/api/v1/nodes/{name}")["spec"]
        cluster.run("kubectl", "delete", "node", name)
        cluster.ssh("k8s-node-1", "systemctl restart kubelet")
        wait_for("the node to register", lambda: place.api.request("GET", f"/api/v1/nodes/{name}")[0] == 200)
        node = place.ask("GET", f"/api/v1/nodes/{name}")
        assert UNINITIALIZED in [taint["key"] for taint in node["spec"]["taints"]]
        droplet = next(it for it in cluster.digitalocean.get("/droplets").json()["droplets"] if it["name"] == name)
        assert node["spec"]["providerID"] == f"digitalocean://{droplet['id']}"
        # What the controller does once it has found the droplet.
        cluster.run("kubectl", "taint", "node", name, f"{UNINITIALIZED}-")
        wait_for("the node to be ready", lambda: ready(place.ask("GET", f"/api/v1/nodes/{name}")))
    cluster.run("up", "--refresh")


def test_without_a_cloud_controller_all_is_as_it_was(cluster: Cluster) -> None:
    cluster.unset("triplane:cloudController")
    cluster.up()
    cluster.forget_outputs()
    wait_for("everything to be well again", cluster.is_well)
    assert cluster.plan() == {}
