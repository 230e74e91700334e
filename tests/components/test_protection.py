"""Protection from `pulumi destroy`: of what nobody can make again, and of hosts that are not meant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import pytest

from tests.components.graph import Graph, Resource, graph_of
from tests.components.test_graph import LAB, MASTERS

PROTECTED = {
    *("etcd-peer-ca", "etcd-server-ca", "etcd-client-ca", "kubernetes-ca", "cluster-signing-ca", "front-proxy-ca"),
    *("service-account", "encryption-key1", "vpc", "protection"),
}


def dependents(graph: Graph, resource: Resource) -> dict[str, Resource]:
    """What `destroy --target --target-dependents` deletes beside a resource, by kind and name."""
    behind: Mapping[str, list[Resource]] = defaultdict(list)
    for each in graph.resources:
        for urn in each.depends_on:
            behind[urn].append(each)
    found: dict[str, Resource] = {}
    queue = [resource]
    while queue:
        for each in behind[queue.pop().urn]:
            if each.urn not in found:
                found[each.urn] = each
                queue.append(each)
    return {f"{each.type.rpartition(':')[2]} {each.name}": each for each in found.values()}


@pytest.mark.parametrize("stack", ["dev", "lab", "prod"])
def test_no_droplet_stands_behind_another_in_the_state(stack: str) -> None:
    graph = graph_of(stack)
    for droplet in graph.of(":Droplet"):
        assert {name for name in dependents(graph, droplet) if name.startswith("Droplet ")} == set(), droplet.name


def test_protection_stands_behind_every_droplet(lab: Graph) -> None:
    for droplet in lab.of(":Droplet"):
        assert "Stash protection" in dependents(lab, droplet)


def test_a_member_takes_no_names_and_no_nodes_of_others_along(lab: Graph) -> None:
    for member in LAB[:3]:
        behind = dependents(lab, lab.named(":Droplet", member))
        records = {name for name in behind if name.startswith("DnsRecord ")}
        assert records == {f"DnsRecord {member}", f"DnsRecord {member}-internal"}
        deleting = {each.name for each in behind.values() if each.inputs.get("delete")}
        assert deleting == {f"{member}-etcd-leave"}


def test_a_master_takes_the_names_of_no_other_along(lab: Graph) -> None:
    for master in MASTERS:
        behind = dependents(lab, lab.named(":Droplet", master))
        records = {name.removeprefix("DnsRecord ") for name in behind if name.startswith("DnsRecord ")}
        assert records == {master, f"{master}-internal", f"api-{master}", f"api-internal-{master}"}


def test_protect_is_on_for_what_nobody_can_make_again() -> None:
    on, off = graph_of("prod"), graph_of("prod", protect="false")
    assert {each.name for each in on.resources if each.protect} == PROTECTED
    assert all(each.type.endswith((":PrivateKey", ":Vpc", ":Stash")) for each in on.resources if each.protect)
    assert not any(each.protect for each in off.resources)
    assert {each.urn: each.inputs for each in on.resources} == {each.urn: each.inputs for each in off.resources}
