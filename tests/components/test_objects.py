"""The shape of the graph where objects of the API come in."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from model import addons
from tests.components.graph import SMALL, Graph, Resource, graph_of
from tests.components.test_graph import brought


def step(graph: Graph, name: str) -> Resource:
    return next(r for r in graph.of(":Command") if r.name.endswith(f"-0-{name}"))


def first_master(graph: Graph) -> str:
    return next(d.name for d in graph.of(":Droplet") if "kube-master" in d.inputs["tags"])


def changed(before: Graph, after: Graph) -> set[str]:
    old = {r.urn: r.inputs for r in before.resources}
    return {r.name for r in after.resources if r.inputs != old[r.urn]}


def test_every_add_on_is_applied(graph: Graph) -> None:
    files = {path.stem for path in Path(addons.__file__).parent.glob("*.py")} - {"__init__"}
    assert {r.name for r in graph.of("kubernetes:Objects")} == files


def test_objects_are_applied_on_the_first_master_alone(graph: Graph) -> None:
    names = {r.name for r in graph.of(":Command") if r.name.endswith(("-rbac", "-coredns"))}
    assert names == {f"{first_master(graph)}-{name}" for name in ("rbac", "coredns")}


def test_a_step_fetches_admin_kubeconfig_for_its_own_api_server(graph: Graph) -> None:
    for name in ("rbac", "coredns"):
        ((path, rights, content),) = brought(step(graph, name))
        assert (path, rights) == (f"/run/triplane/{name}.kubeconfig", "root:root 600")
        document = yaml.safe_load(content)
        assert document["users"][0]["name"] == "admin"
        server = document["clusters"][0]["cluster"]["server"]
        assert server.startswith(f"https://{first_master(graph)}.internal.")


def test_bindings_wait_for_the_first_api_server_and_kubectl(graph: Graph) -> None:
    master = first_master(graph)
    needs = {graph.named(":Command", f"{master}-{name}").urn for name in ("install-kubectl", "kube-apiserver")}
    assert needs <= step(graph, "rbac").depends_on


def test_dns_comes_when_every_node_is_there_to_spread_it_over(graph: Graph) -> None:
    registrations = {r.urn for r in graph.of(":Command") if r.name.endswith("-registration")}
    assert registrations
    assert registrations <= graph.before(step(graph, "coredns"))


def test_another_dns_image_changes_one_step() -> None:
    image = f"registry.example.com/coredns@sha256:{'1' * 64}"
    before = graph_of("lab", pools=SMALL)
    after = graph_of("lab", pools=SMALL, images=json.dumps({"coredns": image}))
    assert changed(before, after) == {f"{first_master(before)}-coredns"}
    assert f"image: {image}\n" in step(after, "coredns").inputs["create"]
