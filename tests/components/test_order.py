"""The order of hosts: side by side where they are new, one after another where they are known."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest

from tests.components.graph import Engine, Graph, Resource, config_of, engine_after, graph_of, pools, run_program

MEMBERS, MASTERS, NODES = (
    [f"{pool}-{n}" for n in range(count)] for pool, count in (("etcd", 3), ("k8s-master", 3), ("k8s-node", 2))
)
ON_MASTERS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
ON_NODES = ("flannel", "containerd", "kubelet", "kube-proxy")


@pytest.fixture(scope="module")
def known(lab: Graph) -> Graph:
    """The second `up`."""
    return run_program("lab", engine_after(lab))


@pytest.fixture(scope="module")
def grown(lab: Graph) -> Graph:
    """One more host of each role that may have any number, two more members."""
    counts = {"etcd": 5, "k8s-master": 4, "k8s-node": 3}
    changed = [pool | {"count": counts[pool["name"]]} for pool in json.loads(config_of("lab")["triplane:pools"])]
    return run_program("lab", engine_after(lab), pools=json.dumps(changed))


@pytest.mark.parametrize("hosts", [MEMBERS, MASTERS, NODES], ids=["members", "masters", "nodes of a pool"])
def test_droplets_of_a_kind_change_one_after_another(known: Graph, hosts: list[str]) -> None:
    for earlier, later in pairwise(hosts):
        # It waits, and leaves no edge in the state (tests/components/test_protection.py).
        assert known.waited(known.named(":Droplet", later), step(known, earlier, "host")), later


def step(graph: Graph, host: str, name: str) -> Resource:
    return graph.named(":Command", f"{host}-{name}")


def chained(graph: Graph, name: str, hosts: list[str]) -> list[bool]:
    """For each host but the first: True if its step waits for that of the host before."""
    steps = [step(graph, host, name) for host in hosts]
    return [earlier.urn in graph.before(later) for earlier, later in pairwise(steps)]


def same_steps_of_others(graph: Graph, resource: Resource) -> set[str]:
    """Steps of this service on other hosts that the step waits for."""
    name = re.sub(r"^.*?-\d+-", "", resource.name)
    steps = (each for each in graph.of(":Command") if re.fullmatch(rf".*-\d+-{name}", each.name))
    return {each.name for each in steps if each.urn in graph.before(resource)}


def test_on_a_first_up_no_droplet_waits_for_a_host(graph: Graph) -> None:
    steps = graph.of(":Command")
    for droplet in graph.of(":Droplet"):
        assert not [step.name for step in steps if graph.waited(droplet, step)], droplet.name


@pytest.mark.parametrize("service", [*ON_MASTERS, *ON_NODES])
def test_on_a_first_up_a_service_starts_side_by_side(graph: Graph, service: str) -> None:
    steps = [each for each in graph.of(":Command") if re.fullmatch(rf".*-\d+-{service}", each.name)]
    assert steps
    for each in steps:
        assert same_steps_of_others(graph, each) == set(), each.name


def test_founders_start_side_by_side_and_the_last_one_waits(lab: Graph) -> None:
    first, second, last = (step(lab, member, "etcd") for member in MEMBERS)
    for founder in (first, second):
        assert same_steps_of_others(lab, founder) == set()
        assert "\nLAST=no\n" in founder.inputs["create"]
    assert {first.urn, second.urn} <= last.depends_on
    assert "\nLAST=yes\n" in last.inputs["create"]


def test_founders_wait_for_all_members_hosts(lab: Graph) -> None:
    hosts = {step(lab, member, "host").urn for member in MEMBERS}
    for member in MEMBERS:
        assert hosts <= step(lab, member, "etcd").depends_on


def test_all_members_come_before_what_calls_them(graph: Graph) -> None:
    members = {each.urn for each in graph.of(":Command") if re.fullmatch(r".*-\d+-etcd", each.name)}
    for each in graph.of(":Command"):
        if re.fullmatch(r".*-\d+-(kube-apiserver|flannel|flannel-network)", each.name):
            assert members <= graph.before(each), each.name


def test_what_is_installed_waits_for_its_own_host_alone(graph: Graph) -> None:
    for each in graph.of(":Command"):
        host, found, _ = each.name.partition("-install-")
        if found:
            others = {other.urn for other in graph.of(":Command") if not other.name.startswith(f"{host}-")}
            assert not others & graph.before(each), each.name


def test_containerd_waits_for_its_own_host_alone(lab: Graph) -> None:
    for host in MASTERS + NODES:
        own = {each.urn for each in lab.of(":Command") if each.name.startswith(f"{host}-")}
        waits = lab.before(step(lab, host, "containerd")) & {each.urn for each in lab.of(":Command")}
        assert waits <= own


@pytest.mark.parametrize("service", ["flannel", *ON_MASTERS])
def test_known_masters_change_one_at_a_time(known: Graph, service: str) -> None:
    assert chained(known, service, MASTERS) == [True, True]


def test_known_members_change_one_at_a_time(known: Graph) -> None:
    assert chained(known, "etcd", MEMBERS) == [True, True]


@pytest.mark.parametrize("service", ["containerd", "kubelet", "kube-proxy"])
def test_known_hosts_of_a_pool_change_one_at_a_time(known: Graph, service: str) -> None:
    assert chained(known, service, MASTERS) == [True, True]
    assert chained(known, service, NODES) == [True]


@pytest.mark.parametrize("stack", ["dev", "lab", "prod"])
def test_known_hosts_of_a_quorum_resize_one_at_a_time(stack: str) -> None:
    graph = run_program(stack, engine_after(graph_of(stack)))
    for droplets in ([d for d in graph.of(":Droplet") if tag in d.inputs["tags"]] for tag in ("etcd", "kube-master")):
        for earlier, later in pairwise(droplets):
            assert graph.waited(later, step(graph, earlier.name, "host"))


def test_a_new_droplet_waits_for_no_host(grown: Graph) -> None:
    steps = {each.urn for each in grown.of(":Command")}
    for new in ("etcd-3", "etcd-4", "k8s-master-3", "k8s-node-2"):
        assert not steps & grown.before(grown.named(":Droplet", new)), new


@pytest.mark.parametrize("service", ON_MASTERS)
def test_a_new_masters_services_wait_for_no_other_master(grown: Graph, service: str) -> None:
    assert same_steps_of_others(grown, step(grown, "k8s-master-3", service)) == set()
    assert chained(grown, service, MASTERS) == [True, True]


@pytest.mark.parametrize("service", ON_NODES)
def test_a_new_node_waits_for_no_other_node(grown: Graph, service: str) -> None:
    assert same_steps_of_others(grown, step(grown, "k8s-node-2", service)) == set()


def test_nothing_of_a_known_node_waits_for_a_new_one(grown: Graph) -> None:
    new = {each.urn for each in grown.resources if each.name.startswith("k8s-node-2")}
    for each in grown.of(":Command"):
        if each.name.startswith(("k8s-node-0-", "k8s-node-1-")):
            assert not new & grown.before(each), each.name


def test_new_members_join_one_after_another(grown: Graph) -> None:
    assert chained(grown, "etcd", [f"etcd-{n}" for n in range(5)]) == [True] * 4


def test_every_host_of_an_unknown_past_is_chained() -> None:
    graph = run_program("lab", Engine(outputs={"nodes": []}))
    for service, hosts in (("etcd", MEMBERS), ("kube-apiserver", MASTERS), ("kubelet", NODES)):
        assert all(chained(graph, service, hosts)), service
    assert graph.waited(graph.named(":Droplet", "etcd-1"), step(graph, "etcd-0", "host"))


def test_a_renamed_pools_droplets_are_made_side_by_side(lab: Graph) -> None:
    graph = run_program("lab", engine_after(lab), pools=pools("etcd", name="db"))
    steps = {each.urn for each in graph.of(":Command")}
    for new in ("db-0", "db-1", "db-2"):
        assert not steps & graph.before(graph.named(":Droplet", new)), new
