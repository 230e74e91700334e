"""What is left behind in order when a droplet is replaced or removed."""

from __future__ import annotations

import json

import pytest

from tests.components.graph import Graph, Resource, Secret, engine_after, graph_of, pools, run_program
from tests.components.test_graph import LAB, MASTERS, NODES, dialled

MEMBERS = LAB[:3]


def farewell(graph: Graph, host: str, step: str) -> Resource:
    return graph.named(":Command", f"{host}-{step}")


def droplet(graph: Graph, host: str) -> str:
    return graph.named(":Droplet", host).urn


def called(step: Resource) -> str:
    """The name or address that a step dials."""
    connection = step.inputs["connection"]
    return str((connection.value if isinstance(connection, Secret) else connection)["host"])


def test_a_droplet_is_shut_down_and_gone_before_the_next_one(graph: Graph) -> None:
    for each in graph.of(":Droplet"):
        assert each.inputs["gracefulShutdown"] is True, each.name
        assert each.delete_before_replace is True, each.name


def test_names_of_the_api_go_before_a_masters_droplet(lab: Graph) -> None:
    for host in MASTERS:
        for kind in ("api", "api-internal"):
            record = lab.named(":DnsRecord", f"{kind}-{host}")
            assert record.replace_with == (droplet(lab, host),), record.name


def test_a_host_that_came_back_is_named_once_its_api_answers(lab: Graph) -> None:
    again = run_program("lab", engine_after(lab))
    for kind in ("api", "api-internal"):
        for host in MASTERS:
            record = again.named(":DnsRecord", f"{kind}-{host}")
            assert again.waited(record, again.named(":Command", f"{host}-kube-apiserver")), record.name


@pytest.mark.parametrize(("hosts", "step"), [(MEMBERS, "etcd-leave"), ([*MASTERS, *NODES], "removal")])
def test_a_farewell_goes_with_the_droplet_and_calls_another(lab: Graph, hosts: list[str], step: str) -> None:
    for host in hosts:
        leaving = farewell(lab, host, step)
        assert leaving.replace_with == (droplet(lab, host),), host
        assert leaving.delete_before_replace is True, host
        assert droplet(lab, host) in lab.before(leaving), host
        assert dialled(leaving, lab) != host
        # By name: that host may have another droplet by then.
        assert called(leaving) == f"{dialled(leaving, lab)}.lab.triplane.test"


def test_a_member_leaves_by_its_neighbour(lab: Graph) -> None:
    assert [dialled(farewell(lab, host, "etcd-leave"), lab) for host in MEMBERS] == ["etcd-1", "etcd-2", "etcd-0"]


def test_a_leaving_member_of_a_host_that_goes_is_out_already(lab: Graph) -> None:
    for host in MEMBERS:
        # Which is deleted with the droplet, and not where that is replaced.
        end = farewell(lab, host, "uninstall-etcd")
        assert farewell(lab, host, "etcd-leave").deleted_with == end.urn
        assert end.deleted_with == droplet(lab, host)
    former = lab.named(":Command", "etcd-0-etcd-members")
    clients = [f"{host}-flannel" for host in (*MASTERS, *NODES)] + [f"{host}-kube-apiserver" for host in MASTERS]
    assert {lab.named(":Command", name).urn for name in clients} <= lab.before(former)


def test_the_only_member_can_ask_nobody_but_itself() -> None:
    one = graph_of("lab", pools=pools("etcd", count=1))
    assert dialled(farewell(one, "etcd-0", "etcd-leave"), one) == "etcd-0"


def test_the_only_master_removes_nodes_and_itself() -> None:
    one = graph_of("lab", pools=json.dumps([*json.loads(pools("k8s-master", count=1))]))
    assert {dialled(farewell(one, host, "removal"), one) for host in ("k8s-master-0", *NODES)} == {"k8s-master-0"}


def test_a_member_waits_for_no_host_but_its_own_once_etcd_runs(lab: Graph) -> None:
    again = run_program("lab", engine_after(lab))
    assert again.named(":Command", "etcd-2-host").urn not in again.before(again.named(":Command", "etcd-0-etcd"))
    assert lab.named(":Command", "etcd-2-host").urn in lab.before(lab.named(":Command", "etcd-0-etcd"))


def test_every_step_of_a_host_runs_again_on_another_droplet(lab: Graph) -> None:
    for step in lab.of(":Command"):
        if "delete" in step.inputs:
            continue
        if step.name.endswith("-identity"):
            assert step.inputs["triggers"] == [f"id-of-{dialled(step, lab)}"]
            continue
        stdin = step.inputs["stdin"]
        text = stdin.value if isinstance(stdin, Secret) else stdin
        assert text.startswith(f"# droplet id-of-{dialled(step, lab)}\n"), step.name
