"""Roles that hosts lose: what is taken down, in which order, and what stays."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase

import pytest

from model.files import END_OF_FILE
from model.roles import Role
from model.services.registry import SERVICES
from model.steps.uninstall import ROLES, Job
from tests.components.graph import Graph, Resource, Secret, engine_after, graph_of, pools, run_program, texts
from tests.components.test_pools import difference

WRITTEN = re.compile(rf"^put (\S+) \S+ \S+ <<'{END_OF_FILE}'$", re.MULTILINE)
HOST_FILES = ("/etc/triplane/host.env",)

GIVEN = pools("k8s-node", roles=["etcd", "kube-master", "kube-node"])


def uninstall(graph: Graph, host: str, job: Job) -> Resource:
    return graph.named(":Command", f"{host}-uninstall-{job}")


def droplets(graph: Graph) -> dict[str, set[Role]]:
    """Host → its roles."""
    return {each.name: {role for role in Role if role in each.inputs["tags"]} for each in graph.of(":Droplet")}


def written(step: Resource) -> set[str]:
    """Paths of the files that a step brings."""
    stdin = step.inputs.get("stdin")
    lines = stdin.value.splitlines() if isinstance(stdin, Secret) else []
    sent = {line.split()[0] for line in lines if not line.startswith("#")}
    return sent | {path for text in texts(step.inputs) for path in WRITTEN.findall(text)}


def belongs(path: str, job: Job) -> bool:
    own = [own for service in SERVICES if {*service.ROLES} == ROLES[job] for own in service.OWN_PATHS]
    return any(fnmatchcase(path, each) or path.startswith(f"{each}/") for each in own)


@pytest.fixture(scope="module")
def given() -> Graph:
    """The lab, with every role on its nodes."""
    return graph_of("lab", pools=GIVEN)


@pytest.fixture(scope="module")
def other() -> Graph:
    """The same with other settings, and other files on its hosts."""
    return graph_of("lab", pools=GIVEN, authorizationMode=json.dumps("ABAC"), versions='{"kubernetes": "1.36.3"}')


@pytest.fixture(scope="module")
def taken(given: Graph) -> Graph:
    """The same, after nodes lost the roles again."""
    return run_program("lab", engine_after(given))


def test_every_job_of_a_host_has_an_end_of_its_own(graph: Graph) -> None:
    wanted = {f"{host}-uninstall-{job}" for host, roles in droplets(graph).items() for job in Job if roles & ROLES[job]}
    found = {each.name: each for each in graph.of(":Command") if "-uninstall-" in each.name}
    assert found.keys() == wanted
    for name, step in found.items():
        host = name.partition("-uninstall-")[0]
        assert not {"create", "update", "stdin", "triggers"} & step.inputs.keys()
        assert step.deleted_with == graph.named(":Droplet", host).urn
        # What has no way to its droplet is not touched by a new one.
        assert graph.named(":Droplet", host).urn not in step.depends_on


def test_a_file_of_a_service_is_its_jobs_and_no_other_jobs(given: Graph, other: Graph) -> None:
    checked = set()
    for graph in (given, other):
        for service in SERVICES:
            job = next(job for job in Job if {*service.ROLES} == ROLES[job])
            for step in graph.of(":Command"):
                if step.name.endswith(f"-{service.NAME}") and not re.search("install-", step.name):
                    paths = written(step) - {*HOST_FILES}
                    checked |= paths
                    assert [path for path in paths if not belongs(path, job)] == [], step.name
                    assert [path for path in paths for other in Job if other is not job and belongs(path, other)] == []
    assert len(checked) > 50


def test_a_script_depends_on_no_setting(given: Graph, other: Graph) -> None:
    for job in Job:
        assert uninstall(given, "k8s-node-0", job).inputs == uninstall(other, "k8s-node-0", job).inputs


def test_names_of_the_api_go_before_its_servers_stop(graph: Graph) -> None:
    masters = [host for host, roles in droplets(graph).items() if Role.KUBE_MASTER in roles]
    for host in masters:
        end = uninstall(graph, host, Job.CONTROL_PLANE).urn
        for name in (f"api-{host}", f"api-internal-{host}"):
            assert end in graph.before(graph.named(":DnsRecord", name)), name


def test_a_node_is_drained_before_its_kubelet_stops(graph: Graph) -> None:
    for host, roles in droplets(graph).items():
        if roles & ROLES[Job.NODE]:
            removal = graph.named(":Command", f"{host}-removal")
            assert uninstall(graph, host, Job.NODE).urn in removal.depends_on


def test_the_master_that_drains_nodes_stops_after_that(lab: Graph) -> None:
    end = uninstall(lab, "k8s-master-0", Job.CONTROL_PLANE).urn
    assert end in lab.before(lab.named(":Command", "k8s-node-1-removal"))


def test_no_member_leaves_twice(graph: Graph) -> None:
    for step in graph.of(":Command"):
        if step.name.endswith("-etcd-leave"):
            assert step.deleted_with == uninstall(graph, step.name.removesuffix("-etcd-leave"), Job.ETCD).urn


def test_a_role_that_is_taken_ends_its_jobs_and_no_others(given: Graph, taken: Graph) -> None:
    gone = {name for name in difference(given, taken).gone if "-uninstall-" in name}
    assert gone == {
        f"k8s-node-{number}-uninstall-{job}" for number in range(2) for job in (Job.ETCD, Job.CONTROL_PLANE)
    }


def test_firewalls_admit_a_host_until_its_services_have_stopped(given: Graph, taken: Graph) -> None:
    before, now = (graph.named(":Droplet", "k8s-node-0").inputs["tags"] for graph in (given, taken))
    scoped = ["lab-etcd", "lab-kube-master", "lab-kube-node"]
    assert before == ["etcd", "kube-master", "kube-node", *scoped]
    assert now == ["kube-node", *scoped]


def test_the_up_after_a_role_is_taken_has_nothing_to_do(taken: Graph) -> None:
    again = run_program("lab", engine_after(taken))
    assert {each.name: each.inputs for each in again.resources} == {each.name: each.inputs for each in taken.resources}
    assert again.outputs == taken.outputs
