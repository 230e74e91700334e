"""The shape of the graph where nodes come and go."""

from __future__ import annotations

import json
from base64 import b64decode

from tests.components.graph import Graph, Resource, graph_of
from tests.components.test_graph import value

POOL = {"name": "gpu", "roles": ["kube-node"], "count": 1, "size": "s-2vcpu-4gb"}
POOLS = [
    {"name": "etcd", "roles": ["etcd"], "count": 1, "size": "s-1vcpu-2gb"},
    {"name": "k8s-master", "roles": ["kube-master"], "count": 1, "size": "s-2vcpu-4gb"},
]


def with_pool(**changes: object) -> Graph:
    return graph_of("lab", pools=json.dumps([*POOLS, POOL | changes]))


def steps(graph: Graph, kind: str) -> dict[str, Resource]:
    """By the host that they are about."""
    suffix = f"-{kind}"
    return {r.name.removesuffix(suffix): r for r in graph.of(":Command") if r.name.endswith(suffix)}


def test_only_masters_and_nodes_have_registration_and_removal(graph: Graph) -> None:
    tags = {droplet.name: droplet.inputs["tags"] for droplet in graph.of(":Droplet")}
    nodes = {name for name, own in tags.items() if {"kube-master", "kube-node"} & set(own)}
    assert set(steps(graph, "registration")) == set(steps(graph, "removal")) == nodes


def test_a_node_is_registered_once_its_kubelet_and_its_proxy_run(graph: Graph) -> None:
    for host, step in steps(graph, "registration").items():
        needs = {graph.named(":Command", f"{host}-{service}").urn for service in ("kubelet", "kube-proxy")}
        assert needs <= graph.before(step), host


def test_an_old_droplets_node_is_removed_before_the_new_kubelet(graph: Graph) -> None:
    for host, step in steps(graph, "removal").items():
        assert step.urn in graph.named(":Command", f"{host}-kubelet").depends_on
        path, _owner, _mode, droplet = value(step.inputs["stdin"]).splitlines()[1].split()
        assert path == f"/run/triplane/{host}-removal.kubeconfig.droplet"
        assert b64decode(droplet).decode() == f"id-of-{host}\n"
        before = graph.before(step)
        assert graph.named(":Command", f"{host}-host").urn in before  # so that it goes before its host does
        assert graph.named(":Command", f"{host}-kubelet").urn not in before, host


def test_nothing_is_drained_when_the_whole_cluster_goes(graph: Graph) -> None:
    vpc = graph.named(":Vpc", "vpc").urn
    assert {step.deleted_with for step in steps(graph, "removal").values()} == {vpc}


def test_a_label_or_a_taint_changes_the_registration_of_its_pool() -> None:
    before = with_pool()
    after = with_pool(labels={"tier": "gpu"}, taints=["dedicated=gpu:NoSchedule"])
    old = {r.urn: r.inputs for r in before.resources}
    assert old.keys() == {r.urn for r in after.resources}
    changed = {r.name for r in after.resources if r.inputs != old[r.urn]}
    # The kubelet has its taints for its very first registration.
    assert changed - {"gpu-0-kubelet"} == {"gpu-0-registration"}
    text = steps(after, "registration")["gpu-0"].inputs["create"]
    assert '\nkubectl label node "$NODE" --overwrite \\\n  tier=gpu \\\n' in text
    assert '\nkubectl taint node "$NODE" --overwrite \\\n  dedicated=gpu:NoSchedule\n' in text


def test_one_node_less_removes_only_that_nodes_resources() -> None:
    before, after = with_pool(count=2), with_pool(count=1)
    left = {r.urn: r for r in after.resources}
    gone = {r.name for r in before.resources if r.urn not in left}
    assert {"gpu-1-registration", "gpu-1-removal"} <= gone
    assert all("gpu-1" in name for name in gone), gone
    changed = {r.name for r in before.resources if r.urn in left and left[r.urn].inputs != r.inputs}
    assert changed == set()
