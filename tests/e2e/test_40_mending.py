"""What happens when something is lost, wrong or cut off: the error says what and where, and the next `up` goes on."""

from __future__ import annotations

import os
import re
import signal

import pytest

from lab import instances
from tests.e2e.cluster import Cluster, Load
from tests.e2e.pods import namespace, node_name, serve
from tests.waiting import wait_for


def test_the_next_up_goes_on_from_there_once_the_hosts_are_back(cluster: Cluster) -> None:
    assert cluster.is_well()
    cluster.up()
    assert "30000" in cluster.ssh("etcd-2", "cat /etc/etcd/etcd.env")


def test_a_master_that_reboots_comes_back_by_itself(cluster: Cluster) -> None:
    cluster.power("k8s-master-0", "reboot")
    wait_for("everything to be well again", cluster.is_well)


def test_a_member_whose_host_is_lost_is_made_again_and_rejoins(cluster: Cluster) -> None:
    lost = cluster.droplet("etcd-1")["id"]
    assert cluster.digitalocean.delete(f"/droplets/{lost}").status_code == 204
    with cluster.api() as api, Load(api).running() as load:
        cluster.run("up", "--refresh")
    assert load.failures == []
    assert load.lost == set()
    assert load.timed_out == 0
    assert api.repeated <= 3
    cluster.forget_outputs()
    members = cluster.run("etcdctl", "member", "list")
    assert members.count(" started") == 3
    assert cluster.run("etcdctl", "endpoint", "health", "--cluster").count("is healthy") == 3
    assert cluster.droplet("etcd-1")["id"] != lost
    assert cluster.plan() == {}


@pytest.mark.long  # tests/unit/test_step_library.py holds what the step does and says
def test_a_busy_port_is_reported_and_the_next_up_continues(cluster: Cluster) -> None:
    listen = 'import socket,time; s=socket.create_server(("127.0.0.1",10259)); time.sleep(600)'
    cluster.ssh(
        "k8s-master-0",
        f"systemctl stop kube-scheduler; systemd-run --quiet --unit=squatter python3 -c '{listen}'",
    )
    cluster.verbosity("kube-scheduler", "2")
    output = cluster.run("up", fails=True)
    assert "host k8s-master-0" in output
    assert "step kube-scheduler: port 10259, which kube-scheduler needs, is taken" in output
    assert "python3" in output
    cluster.ssh("k8s-master-0", "systemctl stop squatter")
    cluster.up()
    assert cluster.plan() == {}


DIGEST = 'triplane:mirror.digests.kube-scheduler["1.37.1"].amd64'


@pytest.mark.long  # tests/unit/test_fetch.py holds what the step does and says
def test_a_wrong_digest_and_a_full_disk_leave_what_runs_alone(cluster: Cluster) -> None:
    directory = "/opt/triplane/kubernetes/1.37.1"
    right = cluster.ssh("k8s-master-0", f"cat {directory}/.kube-scheduler.sha256").strip().split()[-1]
    running = cluster.ssh("k8s-master-0", "systemctl show --property=MainPID --value kube-scheduler")
    # One host has no room, the two others get a file that is not what was pinned.
    cluster.ssh("k8s-master-0", f"mount -t tmpfs -o size=1m none {directory}")
    cluster.configure(DIGEST, "0" * 64)
    output = cluster.run("up", fails=True)
    assert "step install-kube-scheduler: cannot write to" in output
    assert "is the disk full?" in output
    assert f"has the digest {right}, but {'0' * 64} is pinned: nothing was installed" in output
    assert re.search(r"host k8s-master-[12]\.lab\.triplane\.test: step install-kube-scheduler", output)
    cluster.ssh("k8s-master-0", f"umount {directory}")
    for host in ("k8s-master-0", "k8s-master-1"):
        # Nothing half-downloaded is left, and what stood there before still does.
        assert cluster.ssh(host, f"find {directory} -name '.fetch*'").strip() == ""
        assert right in cluster.ssh(host, f"sha256sum {directory}/kube-scheduler")
    assert cluster.ssh("k8s-master-0", "systemctl show --property=MainPID --value kube-scheduler") == running
    cluster.configure(DIGEST, right)
    cluster.up()
    assert cluster.plan() == {}


@pytest.mark.long  # a member's host above; a node's old registration: tests/apiserver/test_registration.py
def test_a_node_whose_host_is_lost_is_made_again_and_is_ready(cluster: Cluster) -> None:
    lost = cluster.droplet("k8s-node-1")["id"]
    assert cluster.digitalocean.delete(f"/droplets/{lost}").status_code == 204
    cluster.run("up", "--refresh")
    cluster.forget_outputs()
    assert cluster.droplet("k8s-node-1")["id"] != lost
    with namespace(cluster, "e2e-lost-node") as place:
        place.pod("newcomer", serve(nodeName=node_name("k8s-node-1")))
        place.all_ready("newcomer", 1)
        node = place.ask("GET", f"/api/v1/nodes/{node_name('k8s-node-1')}")
    assert node["spec"]["providerID"] == f"digitalocean://{cluster.droplet('k8s-node-1')['id']}"
    addresses = [it["address"] for it in node["status"]["addresses"] if it["type"] == "InternalIP"]
    assert addresses == [cluster.hosts["k8s-node-1"]["privateAddress"]]
    assert cluster.plan() == {}


def test_an_up_that_is_interrupted_is_finished_by_the_next(cluster: Cluster) -> None:
    cluster.verbosity("kube-controller-manager", "1")
    process = cluster.start("up")
    wait_for(
        "the first controller manager's step to begin",
        lambda: "v=1" in cluster.ssh("k8s-master-0", "cat /etc/systemd/system/kube-controller-manager.service"),
    )
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    cluster.up()
    assert "v=1" in cluster.ssh("k8s-master-2", "cat /etc/systemd/system/kube-controller-manager.service")


@pytest.mark.long  # lab/tests/test_lab_lifecycle.py holds it for a lab without a cluster
def test_a_killed_daemons_lab_is_taken_over_with_running_hosts(cluster: Cluster) -> None:
    booted = "systemctl show --property=UserspaceTimestampMonotonic --value"
    before = cluster.ssh("etcd-0", booted)
    daemon = instances.daemon("e2e")
    assert daemon is not None
    os.kill(daemon.pid, signal.SIGKILL)
    wait_for("the daemon to be gone", lambda: instances.daemon("e2e") is None)
    assert cluster.plan() == {}
    assert cluster.is_well()
    assert cluster.ssh("etcd-0", booted) == before
