"""What runs pods on a host, where its ground changes under it."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest

import toolchain
from lab.tests.archives import saved, tar, written
from model import paths
from model.services import containerd
from tests.e2e.cluster import Cluster
from tests.e2e.pods import Namespace, namespace, node_name, ready, serve
from tests.waiting import wait_for

HOST = "k8s-node-1"
OTHER = "k8s-node-0"
PAUSE = "triplane:images.pause"
NOWHERE = "192.0.2.1"
"""Nobody's address (RFC 5737)."""
ETCDCTL = f"set -a; . {paths.ETCD_CTL_ENVIRONMENT}; etcdctl"


@pytest.fixture(scope="module")
def place(cluster: Cluster) -> Iterator[Namespace]:
    with namespace(cluster, "e2e-containers") as place:
        yield place


def subnet(cluster: Cluster) -> IPv4Network:
    """Of the host's lease."""
    lease = cluster.ssh(HOST, f". {paths.FLANNEL_SUBNET} && echo $FLANNEL_SUBNET")
    return IPv4Interface(lease.split()[-1]).network


def runtime(cluster: Cluster, host: str) -> str:
    return cluster.ssh(host, "systemctl show --property=MainPID --value containerd").split()[-1]


def test_pods_move_to_the_subnet_of_a_new_lease(cluster: Cluster, place: Namespace) -> None:
    place.group("Deployment", "moving", serve(nodeName=node_name(HOST)), replicas=2)
    place.pod("staying", serve(nodeName=node_name(OTHER)))
    place.all_ready("moving", 2)
    place.all_ready("staying", 1)
    old = subnet(cluster)
    key = f"/flannel.com/network/subnets/{old.network_address}-{old.prefixlen}"
    address = cluster.hosts[HOST]["privateAddress"]
    cluster.ssh(HOST, f"systemctl stop flanneld && rm {paths.FLANNEL_SUBNET}")
    try:
        # Somebody else has the old one now, as after a lease that ran out.
        taken = f"{ETCDCTL} get --print-value-only {key} | sed 's/{address}/{NOWHERE}/' | etcdctl put {key}"
        cluster.ssh("etcd-0", taken)
        cluster.ssh(HOST, "systemctl start flanneld")
        new = subnet(cluster)
        assert not new.overlaps(old)

        def moved() -> bool:
            pods = place.pods("moving")
            inside = [pod for pod in pods if IPv4Address(pod["status"].get("podIP", NOWHERE)) in new and ready(pod)]
            return len(inside) == len(pods) == 2

        with place.told("moving"):
            wait_for(f"the pods of {HOST} to be in {new}", moved)
        for pod in place.pods("moving"):
            assert place.dial("staying", pod["status"]["podIP"]) == pod["metadata"]["name"]
            assert place.dial(pod["metadata"]["name"], place.get("Pod", "staying")["status"]["podIP"]) == "staying"
        bridge = cluster.ssh(HOST, "ip -4 -oneline address show dev cni0")
        assert f" {next(new.hosts())}/{new.prefixlen} " in bridge
        assert bridge.count(" inet ") == 1
    finally:
        cluster.ssh("etcd-0", f"{ETCDCTL} del {key}")
        cluster.ssh(HOST, "systemctl start flanneld")


def test_a_custom_image_is_loaded_from_a_file_without_a_network(
    cluster: Cluster, place: Namespace, tmp_path: Path
) -> None:
    # Its one program waits for ever, and needs no library.
    program = toolchain.build("kubernetes-images").path("pause").read_bytes()
    file = written(tmp_path, tar(saved((["e2e-own:1.0"], [tar({"greeting": program})]))))
    said = cluster.run("image", "load", str(file))
    try:
        assert said.endswith("use it as --image=e2e-own:1.0\n")
        for host in (HOST, OTHER):
            container = {"name": "main", "image": "e2e-own:1.0"}
            place.pod(f"own-{host}", {"containers": [container], "nodeName": node_name(host)})
            place.all_ready(f"own-{host}", 1)
    finally:
        cluster.run("image", "remove", "e2e-own:1.0")


def test_an_unavailable_image_is_named_and_changes_nothing(cluster: Cluster) -> None:
    right = cluster.run("pulumi", "config", "get", "--path", PAUSE).split()[-1]
    running = {host: runtime(cluster, host) for host in (OTHER, "k8s-master-0")}
    wrong = f"{right.partition('@')[0]}@sha256:{'0' * 64}"
    cluster.configure(PAUSE, wrong)
    try:
        output = cluster.run("up", fails=True)
    finally:
        cluster.configure(PAUSE, right)
    for host in running:
        assert f"host {host}.lab.triplane.test: step containerd: cannot pull the image" in output
    assert f"cannot pull the image registry.k8s.io/pause@sha256:{'0' * 64}: ctr: " in output
    assert "not found" in output
    assert "last lines of containerd:" in output
    assert {host: runtime(cluster, host) for host in running} == running
    assert "0000000000" not in cluster.ssh(OTHER, f"cat {containerd.CONFIGURATION}")
    cluster.up()
    assert cluster.plan() == {}
