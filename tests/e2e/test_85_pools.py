"""Pools: a line of the settings changed, and what it touches. In the order of a pool's life."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.pods import Manifest, Namespace, Visitor, evenly, namespace, node_name, ready, run, serve, spread

POOL = "triplane:pools[2]"
HOSTS = ("k8s-master-0", "k8s-master-1", "k8s-master-2", "k8s-node-0", "k8s-node-1")
REPLICAS = 6


@pytest.fixture(scope="module")
def place(cluster: Cluster) -> Iterator[Namespace]:
    with namespace(cluster, "e2e-pools") as place:
        yield place


@pytest.fixture(scope="module")
def web(place: Namespace) -> Manifest:
    """Web servers of which at most one at a time may be taken away, behind a service."""
    spec = serve("--delay-shutdown=3", terminationGracePeriodSeconds=10, topologySpreadConstraints=evenly("web"))
    place.group("Deployment", "web", spec, replicas=REPLICAS)
    budget = {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    place.create("PodDisruptionBudget", "web", spec=budget)
    service = place.service("web", type="NodePort")
    place.all_ready("web", REPLICAS)
    return service


def visitor(cluster: Cluster, web: Manifest) -> Visitor:
    """One who calls by the node ports of hosts that stay."""
    port = web["spec"]["ports"][0]["nodePort"]
    hosts = ("k8s-node-0", "k8s-node-1", "k8s-master-1")
    return Visitor([f"http://{cluster.hosts[host]['publicAddress']}:{port}/hostname" for host in hosts])


def node(place: Namespace, host: str) -> Manifest:
    return dict(place.ask("GET", f"/api/v1/nodes/{node_name(host)}"))


def containers(place: Namespace) -> dict[str, str]:
    """Pod → which container it runs in."""
    return {pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["containerID"] for pod in place.pods("web")}


def test_a_kubelet_flag_restarts_only_kubelets_without_downtime(
    cluster: Cluster, place: Namespace, web: Manifest
) -> None:
    before = containers(place)
    cluster.verbosity("kubelet", "1")
    with visitor(cluster, web).running() as calls:
        assert cluster.applied() == {f"{host}-kubelet": "update" for host in HOSTS}
    assert calls.requests > 100
    assert calls.failures == []
    assert "--v=1" in cluster.ssh("k8s-node-1", "tr '\\0' ' ' </proc/$(pgrep -x kubelet)/cmdline")
    assert containers(place) == before


# A node registers with its taints, so that no pod slips in before they are there: its kubelet is told them too.
TOLD = {f"k8s-node-{i}-{step}": "update" for i in range(2) for step in ("registration", "kubelet")}


def test_labels_and_taints_of_a_pool_touch_its_nodes_alone(cluster: Cluster, place: Namespace) -> None:
    cluster.configure(f"{POOL}.labels.tier", "e2e")
    cluster.configure(f"{POOL}.taints[0]", "dedicated=e2e:NoSchedule")
    assert cluster.applied() == TOLD
    for host in ("k8s-node-0", "k8s-node-1"):
        found = node(place, host)
        assert found["metadata"]["labels"]["tier"] == "e2e"
        assert found["spec"]["taints"] == [{"key": "dedicated", "value": "e2e", "effect": "NoSchedule"}]
    place.pod("stranger", run("pause", nodeSelector={"node-role.kubernetes.io/node": ""}))
    tolerant = [{"key": "dedicated", "operator": "Equal", "value": "e2e", "effect": "NoSchedule"}]
    place.pod("guest", run("pause", nodeSelector={"tier": "e2e"}, tolerations=tolerant))
    place.all_ready("guest", 1)
    assert place.get("Pod", "stranger")["status"]["phase"] == "Pending"


def test_labels_and_taints_that_are_taken_out_are_gone(cluster: Cluster, place: Namespace) -> None:
    cluster.unset(f"{POOL}.labels")
    cluster.unset(f"{POOL}.taints")
    assert cluster.applied() == TOLD
    for host in ("k8s-node-0", "k8s-node-1"):
        found = node(place, host)
        assert "tier" not in found["metadata"]["labels"]
        assert "node-role.kubernetes.io/node" in found["metadata"]["labels"]
        assert "taints" not in found["spec"]
    place.all_ready("stranger", 1)


@pytest.mark.parametrize(
    ("switch", "told"),
    [
        ("sold_out=s-1vcpu-2gb", "Size is not available in this region"),
        # What either leaves behind: lab/tests/plugins/test_plugins_faults.py.
        pytest.param("droplet_limit=8", "will exceed your droplet limit", marks=pytest.mark.long),
    ],
)
def test_a_droplet_the_cloud_refuses_is_named_and_the_rest_stays(cluster: Cluster, switch: str, told: str) -> None:
    cluster.configure(f"{POOL}.count", "3")
    with cluster.faults(switch):
        output = cluster.run("up", fails=True)
    assert "k8s-node-2" in output
    assert told in output


SLOW = ("boot_seconds=20", "firewall_seconds=5", "record_seconds=5", "nxdomain_seconds=300", "throttled_every=40")


def test_one_more_node_is_that_node_alone_on_a_slow_day_as_well(cluster: Cluster, place: Namespace) -> None:
    with cluster.faults(*SLOW):
        done = cluster.applied()
    assert {name for name in done if "k8s-node-2" not in name} == set()
    assert set(done.values()) == {"create"}
    cluster.forget_outputs()
    found = node(place, "k8s-node-2")
    assert ready(found)
    assert "node-role.kubernetes.io/node" in found["metadata"]["labels"]
    place.pod("first", serve(nodeName=node_name("k8s-node-2")))
    place.all_ready("first", 1)


def test_a_node_that_is_taken_out_is_drained_and_leaves_nothing(
    cluster: Cluster, place: Namespace, web: Manifest, slowly: Callable[[int], int]
) -> None:
    # Restart all pods, now that there are three nodes to spread them over.
    place.roll("web")
    pods = place.all_ready("web", REPLICAS)
    assert spread(pods)["k8s-node-2"] >= 2
    cluster.configure(f"{POOL}.count", "2")
    # The official plugin gives a droplet 60 s to go, unless it is told otherwise.
    with cluster.faults(f"droplet_deletion_seconds={slowly(60)}"), visitor(cluster, web).running() as calls:
        done = cluster.applied()
    assert {name for name in done if "k8s-node-2" not in name} == set()
    assert set(done.values()) == {"delete"}
    assert calls.failures == []
    cluster.forget_outputs()
    pods = place.all_ready("web", REPLICAS)
    assert set(spread(pods)) == {"k8s-node-0", "k8s-node-1"}
    assert place.api.request("GET", f"/api/v1/nodes/{node_name('k8s-node-2')}")[0] == 404
    droplets = cluster.digitalocean.get("/droplets", params={"per_page": 200}).json()["droplets"]
    assert not [droplet for droplet in droplets if droplet["name"].startswith("k8s-node-2")]
    assert cluster.plan() == {}
