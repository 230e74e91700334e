"""What a change of pools touches: the hosts that it is about, and what must know of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.components.graph import SMALL, Graph, config_of, engine_after, graph_of, run_program, texts

POOLS: list[dict[str, Any]] = json.loads(SMALL)
NODES = next(position for position, pool in enumerate(POOLS) if pool["roles"] == ["kube-node"])
ON_HOSTS = ":Command"


@pytest.fixture(scope="module")
def small() -> Graph:
    return graph_of("lab", pools=SMALL)


def small_with(**changes: Any) -> Graph:
    """Its graph with the nodes' pool changed."""
    pools = [pool | changes if at == NODES else pool for at, pool in enumerate(POOLS)]
    return graph_of("lab", pools=json.dumps(pools))


def small_and(pool: dict[str, Any]) -> Graph:
    """Its graph with one pool more."""
    return graph_of("lab", pools=json.dumps([*POOLS, pool]))


@dataclass(frozen=True)
class Difference:
    """Names of resources, as an update would tell them."""

    made: set[str]
    changed: set[str]
    gone: set[str]


def difference(before: Graph, after: Graph) -> Difference:
    old, new = ({r.urn: r for r in graph.resources} for graph in (before, after))
    return Difference(
        made={new[urn].name for urn in new.keys() - old.keys()},
        changed={new[urn].name for urn in new.keys() & old.keys() if new[urn].inputs != old[urn].inputs},
        gone={old[urn].name for urn in old.keys() - new.keys()},
    )


def steps(graph: Graph, host: str) -> set[str]:
    return {r.name.removeprefix(f"{host}-") for r in graph.of(ON_HOSTS) if r.name.startswith(f"{host}-")}


def test_one_node_more_is_made_and_no_other_resource_hears_of_it(small: Graph) -> None:
    after = small_with(count=3)
    found = difference(small, after)
    assert found.made
    assert all("k8s-node-2" in name for name in found.made)
    assert (found.changed, found.gone) == (set(), set())
    assert steps(after, "k8s-node-2") == steps(small, "k8s-node-0")


def test_one_node_less_goes_and_no_other_resource_hears_of_it(small: Graph) -> None:
    found = difference(small, small_with(count=1))
    assert found.gone
    assert all("k8s-node-1" in name for name in found.gone)
    assert (found.changed, found.made) == (set(), set())


@pytest.mark.parametrize("pools", [[*POOLS[:NODES], POOLS[NODES] | {"count": 0}], POOLS[:NODES]], ids=["empty", "gone"])
def test_the_last_nodes_go_while_firewalls_still_allow_draining(small: Graph, pools: list[Any]) -> None:
    after = graph_of("lab", pools=json.dumps(pools))
    found = difference(small, after)
    assert all("k8s-node-" in name for name in found.gone)
    assert (found.changed, found.made) == (set(), set())
    assert not [r.name for r in after.resources if "k8s-node" in r.name]


def test_a_node_is_drained_before_anything_of_its_host_goes(lab: Graph) -> None:
    for node in ("k8s-node-0", "k8s-node-1"):
        removal = lab.named(ON_HOSTS, f"{node}-removal")
        assert {lab.named(":Droplet", node).urn, lab.named(ON_HOSTS, f"{node}-host").urn} <= lab.before(removal)
        assert removal.deleted_with == lab.named(":Vpc", "vpc").urn


def test_one_more_master_adds_only_its_own_resources(lab: Graph) -> None:
    pools = json.loads(config_of("lab")["triplane:pools"])
    more = [pool | {"count": 4} if pool["roles"] == ["kube-master"] else pool for pool in pools]
    found = difference(lab, graph_of("lab", pools=json.dumps(more)))
    assert all("k8s-master-3" in name for name in found.made)
    assert (found.changed, found.gone) == (set(), set())


def test_labels_touch_registrations_alone(small: Graph) -> None:
    found = difference(small, small_with(labels={"example.com/disk": "nvme"}))
    assert found.changed == {"k8s-node-0-registration", "k8s-node-1-registration"}
    assert (found.made, found.gone) == (set(), set())


def test_taints_change_only_registrations_and_kubelet_options(small: Graph) -> None:
    found = difference(small, small_with(taints=["dedicated=ci:NoSchedule"]))
    assert found.changed == {f"k8s-node-{i}-{step}" for i in range(2) for step in ("kubelet", "registration")}


def test_a_size_change_touches_only_droplets_and_their_steps(small: Graph) -> None:
    found = difference(small, small_with(size="s-2vcpu-4gb"))
    assert found.changed == {f"k8s-node-{i}{suffix}" for i in range(2) for suffix in ("", "-host")}


GPU = {
    "name": "gpu",
    "roles": ["kube-node"],
    "count": 2,
    "size": "g-2vcpu-8gb",
    "labels": {"example.com/accelerator": "a100"},
    "taints": ["dedicated=gpu:NoSchedule"],
}


def test_a_second_pool_has_a_size_labels_and_taints_of_its_own(small: Graph) -> None:
    added = small_and(GPU)
    found = difference(small, added)
    assert all("gpu-0" in name or "gpu-1" in name for name in found.made)
    assert (found.changed, found.gone) == (set(), set())
    assert added.named(":Droplet", "gpu-0").inputs["size"] == "g-2vcpu-8gb"
    registration = added.named(ON_HOSTS, "gpu-0-registration").inputs["create"]
    assert "example.com/accelerator=a100" in registration
    assert "dedicated=gpu:NoSchedule" in registration
    assert steps(added, "gpu-0") == steps(added, "k8s-node-0")


def test_pools_change_in_parallel_and_their_hosts_in_sequence() -> None:
    known = engine_after(small_and(GPU))
    again = run_program("lab", known, pools=json.dumps([*POOLS, GPU]))
    for step in ("containerd", "kubelet", "kube-proxy"):
        first, second = (again.named(ON_HOSTS, f"gpu-{i}-{step}") for i in range(2))
        assert first.urn in second.depends_on, step
        for elsewhere in (r for r in again.of(ON_HOSTS) if r.name.startswith("k8s-") and r.name.endswith(f"-{step}")):
            assert elsewhere.urn not in first.depends_on, step


def test_only_masters_that_are_not_nodes_have_the_taint() -> None:
    taint = "node-role.kubernetes.io/control-plane:NoSchedule"
    for stack, host, tainted in (("lab", "k8s-master-0", True), ("dev", "k8s-0", False), ("lab", "k8s-node-0", False)):
        step = graph_of(stack).named(ON_HOSTS, f"{host}-registration")
        assert (taint in step.inputs["create"]) == tainted, f"{stack} {host}"


def test_no_image_of_the_clusters_own_goes_without_its_digest(graph: Graph) -> None:
    found = {
        word.strip("\"',")
        for step in graph.of(ON_HOSTS)
        for text in texts(step.inputs)
        for word in text.split()
        if "registry.k8s.io/" in word and not word.startswith("http")
    }
    assert found
    assert all("@sha256:" in image for image in found), found
