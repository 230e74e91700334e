"""What the program makes of its own last outputs."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from tests.components.graph import Engine, Graph, engine_after, graph_of, pools, run_program

RENAMED = pools("etcd", name="db")


def texts(graph: Graph, step: str) -> dict[str, Any]:
    """Host → create and update of its step."""
    return {
        each.name.removesuffix(f"-{step}"): (each.inputs["create"], each.inputs["update"])
        for each in graph.of(":Command")
        if each.name.endswith(f"-{step}") and not each.name.startswith("install-") and "update" in each.inputs
    }


@pytest.fixture(scope="module")
def lab() -> Graph:
    return graph_of("lab")


@pytest.fixture(scope="module")
def renamed(lab: Graph) -> Graph:
    return run_program("lab", engine_after(lab), pools=RENAMED)


def test_a_second_up_registers_exactly_the_same(lab: Graph) -> None:
    again = run_program("lab", engine_after(lab))
    assert {each.name: each.inputs for each in again.resources} == {each.name: each.inputs for each in lab.resources}
    assert again.outputs == lab.outputs


def test_only_members_of_a_new_stack_may_found_etcd(lab: Graph, renamed: Graph) -> None:
    assert ["FIRST=yes" in create for create, _ in texts(lab, "etcd").values()] == [True] * 3
    assert ["FIRST=yes" in text for both in texts(renamed, "etcd").values() for text in both] == [False] * 6


def test_members_of_a_renamed_pool_ask_those_with_the_data(renamed: Graph) -> None:
    former = ",".join(f"https://etcd-{n}.internal.lab.triplane.test:2379" for n in range(3))
    made = texts(renamed, "etcd")
    assert set(made) == {"db-0", "db-1", "db-2"}
    assert all(f",{former}\n" in text for both in made.values() for text in both)


def test_the_up_after_a_rename_has_nothing_to_do(renamed: Graph) -> None:
    again = run_program("lab", engine_after(renamed), pools=RENAMED)
    assert texts(again, "etcd") == texts(renamed, "etcd")
    assert again.outputs == renamed.outputs


def test_a_member_that_is_added_joins(lab: Graph) -> None:
    made = texts(run_program("lab", engine_after(lab), pools=pools("etcd", count=5)), "etcd")
    assert {host: "FIRST=yes" in create for host, (create, _) in made.items()} == {
        "etcd-0": True,
        "etcd-1": True,
        "etcd-2": True,
        "etcd-3": False,
        "etcd-4": False,
    }


def test_an_impossible_change_is_refused_at_preview(lab: Graph) -> None:
    engine = engine_after(lab)
    with pytest.raises(pulumi.RunError) as caught:
        run_program("lab", engine, domain="lab2.triplane.test")
    title, line = str(caught.value).splitlines()
    assert "nothing was created" in title
    assert line.startswith('  - triplane:domain = "lab2.triplane.test" was lab.triplane.test, and a running cluster')
    assert engine.registered == []


def test_a_size_with_a_smaller_disk_is_refused_at_preview(lab: Graph) -> None:
    engine = engine_after(lab)
    with pytest.raises(pulumi.RunError) as caught:
        run_program("lab", engine, pools=pools("k8s-node", size="g-2vcpu-8gb"))
    _, line = str(caught.value).splitlines()
    assert line == (
        '  - triplane:pools[2].size = "g-2vcpu-8gb" has a disk of 25 GiB, but k8s-node-1.internal.lab.triplane.test '
        "has one of 50 GiB, and a disk cannot shrink. Write a size with 50 GiB or more; or make a new pool of this "
        "size, and take this one out."
    )
    assert engine.registered == []


def test_unreadable_outputs_are_a_warning_and_no_founding(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda text, *_, **__: told.append(text))
    graph = run_program("lab", Engine(outputs={"nodes": []}))
    (warning,) = told
    assert warning.startswith("The outputs of this stack cannot be read: they have no hosts.")
    assert ["FIRST=yes" in text for both in texts(graph, "etcd").values() for text in both] == [False] * 6


def test_certificates_that_ended_are_told_at_preview(lab: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda text, *_, **__: told.append(text))
    engine = engine_after(lab)
    engine.outputs = {**engine.outputs, "certificates": {"admin": "2020-01-01T00:00:00Z"}}
    run_program("lab", engine)
    (line,) = told
    assert line.startswith("1 certificate has ended, the first of them admin, on 2020-01-01 00:00 UTC: ")


def test_only_an_etcd_that_was_just_founded_is_empty(lab: Graph, renamed: Graph) -> None:
    for graph, host, founds in ((lab, "etcd-0", True), (renamed, "db-0", False)):
        network = graph.named(":Command", f"{host}-flannel-network").inputs
        assert ("etcdctl put" in network["create"], "etcdctl put" in network["update"]) == (founds, False)
