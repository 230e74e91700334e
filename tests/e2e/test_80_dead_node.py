"""A node whose power is cut: its pods go elsewhere, the service answers on, and the node comes back by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.pods import Manifest, Namespace, Visitor, evenly, namespace, node_name, ready, serve, spread
from tests.waiting import wait_for

IMPATIENT = [
    {"key": f"node.kubernetes.io/{taint}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 2}
    for taint in ("unreachable", "not-ready")
]
"""The default is five minutes (admission plugin DefaultTolerationSeconds)."""


@pytest.fixture(scope="module")
def place(cluster: Cluster) -> Iterator[Namespace]:
    with namespace(cluster, "e2e-dead-node") as place:
        yield place


@pytest.fixture(scope="module")
def web(place: Namespace) -> Manifest:
    spec = serve(tolerations=IMPATIENT, topologySpreadConstraints=evenly("web"))
    place.group("Deployment", "web", spec, replicas=4)
    service = place.service("web", type="NodePort")
    place.all_ready("web", 4)
    return service


def node_is_ready(place: Namespace, host: str) -> bool:
    return ready(place.ask("GET", f"/api/v1/nodes/{node_name(host)}"))


def test_pods_of_a_dead_node_move_while_their_service_answers(
    cluster: Cluster, place: Namespace, web: Manifest
) -> None:
    assert spread(place.pods("web")) == {"k8s-node-0": 2, "k8s-node-1": 2}
    port = web["spec"]["ports"][0]["nodePort"]
    urls = [f"http://{cluster.hosts[host]['publicAddress']}:{port}/hostname" for host in ("k8s-node-0", "k8s-master-0")]
    with Visitor(urls, timeout=0.3).running() as visitor:
        cluster.power("k8s-node-1", "power_off")
        with place.told("web"):
            # 50 s without a sign of life (kube-controller-manager, --node-monitor-grace-period), and the 2 s above.
            wait_for("all pods to be elsewhere", lambda: all_on(place, "k8s-node-0"), 120)
        assert not node_is_ready(place, "k8s-node-1")
        # Until the node is known to be dead, half of all calls go there; a second call is answered.
        assert visitor.silence < 10
        wait_for("a hundred calls in a row to be answered", lambda: visitor.in_a_row > 100)


def all_on(place: Namespace, host: str) -> bool:
    pods = place.pods("web")
    return len(pods) == 4 and all(map(ready, pods)) and spread(pods) == {host: 4}


def test_a_dead_node_comes_back_by_itself_and_takes_pods_again(
    cluster: Cluster, place: Namespace, web: Manifest
) -> None:
    cluster.power("k8s-node-1", "power_on")
    wait_for("the node to be ready", lambda: node_is_ready(place, "k8s-node-1"))
    # Whatever the node remembers of pods that are gone is tidied up.
    everything = f"{place.path('Pod')}?labelSelector=app%3Dweb"
    wait_for("the old pods to be gone", lambda: len(place.ask("GET", everything)["items"]) == 4)
    place.pod("newcomer", serve(nodeName=node_name("k8s-node-1")))
    place.all_ready("newcomer", 1)
    for pod in place.pods("web"):
        assert place.dial("newcomer", pod["status"]["podIP"]) == pod["metadata"]["name"]
    wait_for("everything to be well again", cluster.is_well)
