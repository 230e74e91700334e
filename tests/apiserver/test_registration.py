"""Nodes that come, change and go, on a real API server; what kubelets and controllers would say, the tests say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from model.roles import CONTROL_PLANE, NODE, Role
from model.steps import registration
from model.taints import Taint
from model.topology import HostSpec, Topology
from settings.labels import taint
from tests.apiserver.server import ApiServer, Outcome
from tests.unit.rendered import Pool

pytestmark = pytest.mark.engine

DROPLET = "1"


def node_of(name: str, role: Role = Role.KUBE_NODE, *, taints: tuple[str, ...] = (), **labels: str) -> HostSpec:
    pool = Pool(name, (role,), count=1, labels=labels, taints=tuple(map(taint, taints)))
    return Topology.of(cluster="lab", domain="example.com", pools=[pool]).hosts[0]


@pytest.fixture(autouse=True)
def empty(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registration, "DRAIN_SECONDS", 1)
    monkeypatch.setattr(registration, "ATTEMPT_SECONDS", 2)
    yield
    api.kubectl("delete", "pods,poddisruptionbudgets", "--all", "--force", "--grace-period=0")
    api.kubectl("delete", "nodes", "--all")


def join(
    api: ApiServer,
    node: HostSpec,
    *,
    ready: str = "True",
    taints: tuple[dict[str, str], ...] = (),
    droplet: str = DROPLET,
) -> None:
    """What its kubelet does; the API server adds a taint until a controller takes it off, as it does for any node."""
    name = node.node_name
    spec = {"taints": list(taints), "providerID": f"digitalocean://{droplet}"} if droplet else {"taints": list(taints)}
    api.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": spec})
    if not any(taint["key"] == "node.kubernetes.io/not-ready" for taint in taints):
        api.kubectl("taint", "node", name, "node.kubernetes.io/not-ready-")
    api.status("node", name, {"conditions": [{"type": "Ready", "status": ready}]})


def register(api: ApiServer, node: HostSpec) -> Outcome:
    return api.run(registration.script(host=node), f"{node.name}-registration", DROPLET)


def arrive(api: ApiServer, node: HostSpec, droplet: str) -> Outcome:
    return api.run(registration.arrival(host=node), f"{node.name}-removal", droplet)


def remove(api: ApiServer, node: HostSpec) -> Outcome:
    return api.run(registration.removal(host=node), f"{node.name}-removal")


def pod(api: ApiServer, name: str, node: HostSpec, *, owner: str = "ReplicaSet") -> None:
    """A pod that runs there, and ends as soon as it is asked to."""
    owners = [{"apiVersion": "apps/v1", "kind": owner, "name": "web", "uid": "1", "controller": True}] if owner else []
    api.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}, "ownerReferences": owners},
            "spec": {
                "nodeName": node.node_name,
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "web", "image": "web"}],
            },
        }
    )
    api.status("pod", name, {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})


def budget(api: ApiServer, *, allowed: int) -> None:
    api.apply(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "web-budget", "namespace": "default"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
        }
    )
    generation = api.get("poddisruptionbudget", "web-budget")["metadata"]["generation"]
    status = {"observedGeneration": generation, "disruptionsAllowed": allowed, "currentHealthy": 1, "desiredHealthy": 1}
    api.status("poddisruptionbudget", "web-budget", {**status, "expectedPods": 1})


def names(api: ApiServer, kind: str) -> set[str]:
    return {item["metadata"]["name"] for item in api.get(kind)["items"]}


def labels(api: ApiServer, node: HostSpec) -> dict[str, str]:
    return dict(api.get("node", node.node_name)["metadata"]["labels"])


def taints(api: ApiServer, node: HostSpec) -> set[str]:
    found: list[dict[str, Any]] = api.get("node", node.node_name)["spec"].get("taints", [])
    return {str(Taint(key=t["key"], value=t.get("value", ""), effect=t["effect"])) for t in found}


def test_a_node_gets_current_settings_and_loses_removed_ones(api: ApiServer) -> None:
    before = node_of("web", taints=("dedicated=gpu:NoSchedule", "odd:PreferNoSchedule"), tier="a", zone="1")
    join(api, before)
    assert register(api, before).code == 0
    assert labels(api, before) == {NODE: "", "tier": "a", "zone": "1"}
    assert taints(api, before) == {"dedicated=gpu:NoSchedule", "odd:PreferNoSchedule"}

    after = node_of("web", taints=("dedicated=ml:NoSchedule",), tier="b")
    assert register(api, after).code == 0
    assert labels(api, after) == {NODE: "", "tier": "b"}
    assert taints(api, after) == {"dedicated=ml:NoSchedule"}

    bare = node_of("web")
    assert register(api, bare).code == 0
    assert (labels(api, bare), taints(api, bare)) == ({NODE: ""}, set())


def test_labels_and_taints_of_operators_and_kubernetes_are_kept(api: ApiServer) -> None:
    node = node_of("cp", Role.KUBE_MASTER, tier="a")
    lifecycle = {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}
    join(api, node, taints=(lifecycle,))
    api.kubectl("label", "node", node.node_name, "own=mine")
    api.kubectl("taint", "node", node.node_name, "own=mine:NoSchedule")
    for again in (node, node_of("cp", Role.KUBE_MASTER)):
        assert register(api, again).code == 0
    assert labels(api, node) == {CONTROL_PLANE: "", "own": "mine"}
    kept = {"own=mine:NoSchedule", "node.kubernetes.io/not-ready:NoExecute"}
    assert taints(api, node) >= {f"{CONTROL_PLANE}:NoSchedule", *kept}


def test_a_deleted_node_that_registers_again_is_as_before(api: ApiServer) -> None:
    node = node_of("web", taints=("dedicated=gpu:NoSchedule",), tier="a")
    for _ in range(2):
        join(api, node)
        assert register(api, node).code == 0
        assert labels(api, node) == {NODE: "", "tier": "a"}
        assert taints(api, node) == {"dedicated=gpu:NoSchedule"}
        api.kubectl("delete", "node", node.node_name)


def test_a_taint_removed_by_hand_may_be_dropped_from_settings(api: ApiServer) -> None:
    node = node_of("web", taints=("dedicated=gpu:NoSchedule",))
    join(api, node)
    register(api, node)
    api.kubectl("taint", "node", node.node_name, "dedicated:NoSchedule-")
    assert register(api, node_of("web")).code == 0
    assert taints(api, node) == set()


def test_a_node_that_is_gone_needs_no_removal(api: ApiServer) -> None:
    outcome = remove(api, node_of("web"))
    assert (outcome.code, outcome.out) == (0, "web-0.internal.example.com is not a node any more\n")
    assert api.left_behind == []


def test_a_node_is_drained_and_deleted(api: ApiServer) -> None:
    node, other = node_of("web"), node_of("other")
    for each in (node, other):
        join(api, each)
    pod(api, "mine", node)
    pod(api, "bare", node, owner="")
    pod(api, "others", other)
    budget(api, allowed=2)
    outcome = remove(api, node)
    assert outcome.code == 0, outcome.err
    assert names(api, "nodes") == {other.node_name}
    assert names(api, "pods") == {"others"}
    assert "evicting pod default/mine" in outcome.out


def test_a_budget_that_forbids_eviction_stops_the_removal(api: ApiServer) -> None:
    node, other = node_of("web"), node_of("other")
    for each in (node, other):
        join(api, each)
    pod(api, "precious", node)
    budget(api, allowed=0)
    outcome = remove(api, node)
    assert outcome.code == 1
    assert (
        "step web-0-removal: web-0.internal.example.com could not be drained in 1 s, and stays cordoned" in outcome.err
    )
    assert "\n  pod default/precious\n" in outcome.err
    assert "\n  budget default/web-budget lets no pod go: 1 are healthy, 1 must be\n" in outcome.err
    assert "kubectl delete node web-0.internal.example.com" in outcome.err
    assert names(api, "pods") == {"precious"}
    assert api.get("node", node.node_name)["spec"]["unschedulable"] is True

    api.kubectl("delete", "node", node.node_name)
    assert remove(api, node).code == 0


@pytest.mark.parametrize("others", ["none", "cordoned", "tainted", "not ready"])
def test_a_budget_is_ignored_if_no_other_node_can_take_the_pods(api: ApiServer, others: str) -> None:
    node, other = node_of("web"), node_of("other")
    join(api, node)
    if others != "none":
        join(api, other, ready="False" if others == "not ready" else "True")
    if others == "cordoned":
        api.kubectl("cordon", other.node_name)
    if others == "tainted":
        api.kubectl("taint", "node", other.node_name, f"{CONTROL_PLANE}:NoSchedule")
    pod(api, "precious", node)
    budget(api, allowed=0)
    outcome = remove(api, node)
    assert outcome.code == 0, outcome.err
    assert "no other node can take the pods of web-0.internal.example.com: they end with it\n" in outcome.out
    assert names(api, "nodes") == ({other.node_name} if others != "none" else set())


def test_a_node_with_the_same_taint_could_take_the_pods(api: ApiServer) -> None:
    node, other = node_of("web"), node_of("other")
    for each in (node, other):
        join(api, each)
        api.kubectl("taint", "node", each.node_name, "dedicated=gpu:NoSchedule")
    pod(api, "precious", node)
    budget(api, allowed=0)
    assert remove(api, node).code == 1


def test_a_node_that_does_not_answer_is_not_drained(api: ApiServer) -> None:
    node, other = node_of("web"), node_of("other")
    join(api, node, ready="Unknown")
    join(api, other)
    pod(api, "precious", node)
    budget(api, allowed=0)
    outcome = remove(api, node)
    assert outcome.code == 0, outcome.err
    assert "is not ready: its pods are started elsewhere once it is gone\n" in outcome.out
    assert names(api, "nodes") == {other.node_name}


def test_a_removal_that_cannot_ask_says_what_to_do(api: ApiServer) -> None:
    kubeconfig = api.kubeconfig
    api.kubeconfig = kubeconfig.replace("127.0.0.1:", "127.0.0.2:")
    try:
        outcome = remove(api, node_of("web"))
    finally:
        api.kubeconfig = kubeconfig
    assert outcome.code == 1
    assert "waiting for this master's API server, to let web-0.internal.example.com go" in outcome.err
    assert "bring it back and run the same again" in outcome.err


def test_a_node_of_a_droplet_that_is_gone_makes_room(api: ApiServer) -> None:
    node = node_of("web")
    join(api, node, droplet="")
    assert arrive(api, node, "1").code == 0  # a node from before provider ids were told
    assert api.get("node", node.node_name)["spec"]["providerID"] == "digitalocean://1"
    assert arrive(api, node, "1").code == 0
    assert api.get("node", node.node_name)["spec"]["providerID"] == "digitalocean://1"
    outcome = arrive(api, node, "2")
    assert outcome.code == 0
    assert "another droplet, digitalocean://1" in outcome.out
    assert node.node_name not in api.kubectl("get", "nodes", "--output=name")
    assert arrive(api, node, "2").code == 0
