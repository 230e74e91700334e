"""The shape of the graph where pods' runtime comes in."""

from __future__ import annotations

import re

from tests.components.graph import SMALL, Graph, Resource, engine_after, graph_of, run_program

DIGEST = f"sha256:{'1' * 64}"


def steps(graph: Graph) -> list[Resource]:
    return [r for r in graph.of(":Command") if r.name.endswith("-containerd") and "-install-" not in r.name]


def small(**changes: str) -> Graph:
    return graph_of("lab", pools=SMALL, **changes)


def changed(before: Graph, after: Graph) -> set[str]:
    old = {r.urn: r.inputs for r in before.resources}
    assert old.keys() == {r.urn for r in after.resources}
    return {r.name for r in after.resources if r.inputs != old[r.urn]}


def test_every_master_and_node_runs_pods_and_no_other_host(graph: Graph) -> None:
    tags = {droplet.name: droplet.inputs["tags"] for droplet in graph.of(":Droplet")}
    assert {step.name.removesuffix("-containerd") for step in steps(graph)} == {
        name for name, own in tags.items() if {"kube-master", "kube-node"} & set(own)
    }


def test_containerd_waits_for_files_a_kubelet_for_the_lease(graph: Graph) -> None:
    for step in steps(graph):
        host = step.name.removesuffix("-containerd")
        needs = ("install-containerd", "install-runc", "install-cni-plugins")
        assert {graph.named(":Command", f"{host}-{need}").urn for need in needs} <= step.depends_on
        kubelet = graph.named(":Command", f"{host}-kubelet")
        assert {step.urn, graph.named(":Command", f"{host}-flannel").urn} <= kubelet.depends_on


def test_hosts_change_one_at_a_time_within_a_pool() -> None:
    graph = run_program("prod", engine_after(graph_of("prod")))
    by_name = {step.name: step for step in steps(graph)}
    for name, step in by_name.items():
        pool, index = re.fullmatch(r"(.+)-(\d+)-containerd", name).groups()  # type: ignore[union-attr]
        others = {other.name for other in by_name.values() if other.urn in step.depends_on}
        assert others == ({f"{pool}-{int(index) - 1}-containerd"} if index != "0" else set())


def test_an_image_or_a_registry_changes_one_step_of_each_host() -> None:
    url = '"url": "https://mirror.example.com"'
    before = small(mirror=f"{{{url}}}")
    expected = {step.name for step in steps(before)}
    assert changed(before, small(mirror=f'{{{url}, "registry": "https://registry.example.com"}}')) == expected
    pause = f'{{"pause": "registry.example.com/pause@{DIGEST}"}}'
    assert changed(before, small(mirror=f"{{{url}}}", images=pause)) == expected
