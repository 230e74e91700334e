"""The end: what is destroyed leaves nothing, and an interrupted `up` does not stand in the way."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

import psutil
import pytest

from tests.e2e.cluster import Cluster
from tests.waiting import wait_for

DIGITALOCEAN = {
    "droplets": "droplets",
    "tags": "tags",
    "firewalls": "firewalls",
    "vpcs": "vpcs",
    "account/keys": "ssh_keys",
}


def in_the_cloud(cluster: Cluster) -> dict[str, int]:
    found = {path: len(cluster.digitalocean.get(f"/{path}").json()[key]) for path, key in DIGITALOCEAN.items()}
    zone = cluster.cloudflare.get("/zones").json()["result"][0]["id"]
    return found | {"records": len(cluster.cloudflare.get(f"/zones/{zone}/dns_records").json()["result"])}


def droplets(cluster: Cluster) -> int:
    """One call, for the account has 250 a minute."""
    return len(cluster.digitalocean.get("/droplets").json()["droplets"])


def test_destroy_leaves_nothing_in_the_cloud(cluster: Cluster, slowly: Callable[[int], int]) -> None:
    assert in_the_cloud(cluster)["droplets"] == 8
    # The official plugin gives a VPC 120 s to go, unless it is told otherwise.
    with cluster.faults(f"vpc_members_seconds={slowly(120)}"):
        cluster.run("pulumi", "destroy", "--yes", "--skip-preview")
    # A region's default VPC is DigitalOcean's own and cannot be deleted.
    assert {kind for kind, count in in_the_cloud(cluster).items() if count} <= {"vpcs"}
    vpcs = cluster.digitalocean.get("/vpcs").json()["vpcs"]
    assert [vpc["name"] for vpc in vpcs if not vpc["default"]] == []
    hosts = [line for line in listing("ip", "netns", "list").splitlines() if line.startswith("triplane-e2e-")]
    assert [line.split()[0] for line in hosts] == ["triplane-e2e-router"]


@pytest.mark.long  # a whole cluster more; lab/tests/plugins/test_plugins_engine.py and test_40_mending.py interrupt too
def test_the_next_up_finishes_an_interrupted_or_killed_first_up(cluster: Cluster) -> None:
    process = cluster.start("up")
    wait_for("the first droplets", lambda: droplets(cluster) >= 2, every=1)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output

    made = droplets(cluster)
    process = cluster.start("up")
    wait_for("more droplets", lambda: droplets(cluster) > made, every=1)
    (engine,) = psutil.Process(process.pid).children()
    assert engine.name() == "pulumi"
    for killed in (engine, process):
        killed.kill()
    process.communicate(timeout=120)

    cluster.up()
    assert in_the_cloud(cluster)["droplets"] == 8
    assert cluster.plan() == {}
    cluster.forget_outputs()
    with cluster.api() as api:
        assert api.request("GET", "/readyz") == (200, "ok")


def listing(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_down_leaves_nothing_on_this_machine(cluster: Cluster) -> None:
    cluster.run("down")
    assert "triplane-e2e" not in listing("ip", "netns", "list")
    assert "e2e" not in listing("ip", "-brief", "link")
    assert "198.19.0." not in listing("ip", "route")
    assert str(cluster.directory) not in listing("findmnt", "--list", "--output", "TARGET,SOURCE")
    assert str(cluster.directory / "lab") not in listing("ps", "-eo", "args")
    assert not (cluster.directory / "lab").exists()
