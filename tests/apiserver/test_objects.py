"""Sets of objects, on a real API server."""

from __future__ import annotations

import os
import signal
import time
from ipaddress import IPv4Network
from typing import Any

import pytest

from model.addons import SET_LABEL
from model.addons.coredns import LABELS, NAME, coredns
from model.addons.rbac import rbac
from model.steps import objects as step
from model.steps.objects import Rollout
from tests.apiserver.server import ApiServer, Outcome
from tests.waiting import wait_for

pytestmark = pytest.mark.engine

IMAGE = f"registry.example.com/coredns@sha256:{'0' * 64}"
DNS = coredns(image=IMAGE, services=IPv4Network("10.32.0.0/24"))


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default"},
        "data": data,
    }


def applied(api: ApiServer, name: str, *objects: Any) -> Outcome:
    outcome = api.run(step.script(name=name, objects=objects), name)
    assert outcome.code == 0, outcome.err
    return outcome


def names(api: ApiServer, kind: str, label: str) -> set[str]:
    found = api.get(kind, "--all-namespaces", f"--selector={SET_LABEL}={label}")["items"]
    return {item["metadata"]["name"] for item in found}


def test_the_api_accepts_the_bindings_and_their_roles_exist(api: ApiServer) -> None:
    applied(api, "rbac", *rbac())
    roles = {role["metadata"]["name"] for role in api.get("clusterroles")["items"]}
    bindings = api.get("clusterrolebindings", f"--selector={SET_LABEL}=rbac")["items"]
    assert len(bindings) == 2
    assert {binding["roleRef"]["name"] for binding in bindings} <= roles
    # Those that are not ours to make, for Kubernetes makes them.
    proxier = api.get("clusterrolebinding", "system:node-proxier")
    assert [subject["name"] for subject in proxier["subjects"]] == ["system:kube-proxy"]


def test_the_api_accepts_dns_and_a_second_apply_changes_nothing(api: ApiServer) -> None:
    def versions() -> dict[str, str]:
        kinds = "serviceaccounts,configmaps,services,deployments,poddisruptionbudgets,clusterroles,clusterrolebindings"
        found = api.get(kinds, "--all-namespaces", f"--selector={SET_LABEL}={NAME}")["items"]
        return {f"{item['kind']} {item['metadata']['name']}": item["metadata"]["resourceVersion"] for item in found}

    applied(api, NAME, *DNS)
    before = versions()
    assert len(before) == len(DNS)
    applied(api, NAME, *DNS)
    assert versions() == before
    assert api.get("service", "kube-dns", "--namespace=kube-system")["spec"]["clusterIP"] == "10.32.0.10"


def test_only_objects_dropped_from_all_manifests_are_pruned(api: ApiServer) -> None:
    applied(api, "shop", config_map("stays"), config_map("goes"), {**rbac()[0], "metadata": {"name": "goes-too"}})
    applied(api, "office", config_map("anothers"))
    # A copy that an operator made of ours, label and all.
    api.apply(config_map("copy") | {"metadata": {**config_map("copy")["metadata"], "labels": {SET_LABEL: "shop"}}})
    applied(api, "shop", config_map("stays"))
    assert names(api, "configmaps", "shop") == {"stays", "copy"}
    assert names(api, "clusterrolebindings", "shop") == set()
    assert names(api, "configmaps", "office") == {"anothers"}


def test_our_fields_are_reset_and_foreign_fields_are_kept(api: ApiServer) -> None:
    applied(api, "fields", config_map("fields", ours="1"))
    api.kubectl("patch", "configmap", "fields", "--type=merge", '--patch={"data": {"ours": "2", "theirs": "3"}}')
    applied(api, "fields", config_map("fields", ours="1"))
    assert api.get("configmap", "fields")["data"] == {"ours": "1", "theirs": "3"}


def test_the_admin_kubeconfig_is_deleted_when_a_step_ends(api: ApiServer) -> None:
    applied(api, "fields", config_map("fields", ours="1"))
    assert api.left_behind == []

    outcome = api.run(step.script(name="bad", objects=[{**config_map("bad"), "apiVersion": "v77"}]), "bad")
    assert outcome.code == 1
    assert 'no matches for kind "ConfigMap" in version "v77"' in outcome.err
    assert "step bad: " in outcome.err
    assert api.left_behind == []


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP])
def test_a_killed_step_takes_the_kubeconfig_with_it(api: ApiServer, end: signal.Signals) -> None:
    waiting = step.script(name="waiting", objects=DNS, rollout=Rollout(deployment=NAME, labels=LABELS))
    # Left to itself, bash ended without its trap at a few moments only.
    for moment in range(20):
        process = api.start(waiting, "waiting")
        wait_for("the script has its kubeconfig", lambda: "waiting.kubeconfig" in api.left_behind, 20, every=0.0005)
        time.sleep(moment / 5000)
        os.killpg(process.pid, end)
        process.communicate(timeout=20)
        assert process.returncode != 0
        assert api.left_behind == []


def test_a_stuck_rollout_names_pods_hosts_warnings_but_no_secret(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "ROLLOUT_SECONDS", 1)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "coredns-1", "namespace": "kube-system", "labels": LABELS},
        "spec": {"nodeName": "k8s-node-1", "containers": [{"name": "coredns", "image": IMAGE}]},
    }
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "coredns-1.1", "namespace": "kube-system"},
        "involvedObject": {"kind": "Pod", "name": "coredns-1", "namespace": "kube-system"},
        "type": "Warning",
        "reason": "Failed",
        "message": "Failed to pull image: not found",
    }
    api.apply(pod, event)
    rollout = Rollout(deployment=NAME, labels=LABELS)
    outcome = api.run(step.script(name=NAME, objects=DNS, rollout=rollout), NAME)
    assert outcome.code == 1
    assert "step coredns: coredns is not available after 1 s: " in outcome.err
    assert "k8s-node-1" in outcome.err
    assert "coredns-1: Failed: Failed to pull image: not found" in outcome.err
    assert "token" not in outcome.err
