"""Ports that a stack opens beside those of the cluster: shut before one `up`, open after it, and no host is touched."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.e2e.cluster import SERVICES, Cluster
from tests.e2e.pods import DOMAIN, Namespace, namespace, node_name, serve
from tests.waiting import wait_for

DOOR = 8088
"""The host port of a pod on k8s-node-0."""
ELSEWHERE = 8000
"""A port outside that no host needs: the lab's API, as hosts see it."""
HOSTS = "10.240.0.0/20"
SETTINGS = {
    "ingressPorts": [{"ports": DOOR, "ranges": [f"{SERVICES}/32"]}],
    "icmpAllowed": [HOSTS],
    "outboundAllowed": [
        {"ports": ELSEWHERE, "ranges": [f"{SERVICES}/32"]},
        {"protocol": "icmp", "ranges": [HOSTS]},
    ],
    "nodesReachKubelets": True,
}
CURL = "curl --silent --show-error --insecure --output /dev/null --write-out %{http_code} --connect-timeout 2"
KUBELET = f"{CURL} https://k8s-node-0.{DOMAIN}:10250/pods"
OUTSIDE = f"{CURL} http://{SERVICES}:{ELSEWHERE}/v2/account"


@pytest.fixture(scope="module")
def place(cluster: Cluster) -> Iterator[Namespace]:
    with namespace(cluster, "e2e-ports") as place:
        ports = [{"containerPort": 8080, "hostPort": DOOR}]
        place.pod("door", serve(nodeName=node_name("k8s-node-0"), container={"ports": ports}))
        place.all_ready("door", 1)
        yield place


@pytest.fixture
def settings(cluster: Cluster) -> Iterator[Callable[[], str]]:
    """Turn all of them on, and leave the stack as it was."""
    names = [f"triplane:{name}" for name in SETTINGS]
    written = [f"--plaintext=triplane:{name}={json.dumps(value)}" for name, value in SETTINGS.items()]
    try:
        yield lambda: cluster.run("pulumi", "config", "set-all", *written)
    finally:
        cluster.run("pulumi", "config", "rm-all", *names)
        cluster.up()


def answers_at_the_door(cluster: Cluster) -> bool:
    """Whether the pod's host port is open to this machine."""
    address = cluster.hosts["k8s-node-0"]["publicAddress"]
    try:
        socket.create_connection((address, DOOR), timeout=2).close()
    except TimeoutError:
        return False
    return httpx.get(f"http://{address}:{DOOR}/hostname", trust_env=False, timeout=5).text == "door"


def test_opened_ports_are_closed_before_and_open_after_one_up(
    cluster: Cluster, place: Namespace, settings: Callable[[], str]
) -> None:
    ping = f"ping -q -c 1 -W 2 {cluster.hosts['k8s-node-0']['privateAddress']}"

    assert not answers_at_the_door(cluster)
    for ask in (KUBELET, OUTSIDE):
        # The exit code: curl's words differ by version, and the status, 000, may come in the middle of them.
        told = cluster.ssh("k8s-node-1", f"{ask} 2>/dev/null || echo ' exit' $?")
        assert told.split() == ["000", "exit", "28"], "dropped, not refused"
    assert "100% packet loss" in cluster.ssh("k8s-node-1", ping, fails=True)

    settings()
    assert cluster.applied() == {"firewall-hosts": "update", "firewall-nodes": "update", "firewall-ingress": "create"}

    wait_for("the pod's host port to be open", lambda: answers_at_the_door(cluster), 30)
    # Whom it does not know, a kubelet refuses as before.
    assert cluster.ssh("k8s-node-1", KUBELET).strip() == "401"
    assert cluster.ssh("k8s-node-1", OUTSIDE).strip() == "401"
    assert " 0% packet loss" in cluster.ssh("k8s-node-1", ping)
