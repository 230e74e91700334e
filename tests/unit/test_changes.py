"""Changes of settings that a running cluster cannot make: what each is told, and what is let through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from model import past, releases
from model.digitalocean import SIZES
from model.past import NOTHING, Past
from model.roles import Role
from settings import changes
from settings.load import parse
from settings.schema import Settings

CASES = yaml.safe_load((Path(__file__).parent / "settings_changes.yaml").read_text())
STACK: dict[str, Any] = {
    "cluster": "dev",
    "domain": "k8s.example.com",
    "zone": {"id": "0123456789abcdef0123456789abcdef", "name": "example.com"},
    "sshAllowed": ["203.0.113.7/32"],
    "image": "debian-12-x64",
    "pools": [
        {"name": "etcd", "roles": ["etcd"], "count": 3, "size": "s-2vcpu-4gb"},
        {"name": "master", "roles": ["kube-master"], "count": 3, "size": "s-2vcpu-4gb"},
        {"name": "node", "roles": ["kube-node"], "count": 2, "size": "s-2vcpu-4gb"},
    ],
}

STACKED: dict[str, Any] = {
    "pools": [{"name": "k8s", "roles": ["etcd", "kube-master"], "count": 3, "size": "s-2vcpu-4gb"}]
}


def outputs_of(settings: Settings) -> dict[str, Any]:
    """What an `up` of these settings leaves, as the engine stores it."""
    images = {pool.name: pool.image or settings.image for pool in settings.pools}
    hosts = [
        {
            "name": host.name,
            "privateName": host.private_name,
            "roles": sorted(host.roles),
            "image": images[host.pool],
            "size": host.size,
            "disk": SIZES[host.size].disk_gib,
            "etcd": {"founds": True, "former": []},
        }
        for host in settings.topology.hosts
    ]
    # The engine stores numbers as JavaScript does.
    made: dict[str, Any] = json.loads(
        json.dumps({"hosts": hosts, "settings": changes.remembered(settings)}), parse_int=float
    )
    return made


def told(before: dict[str, Any], change: dict[str, Any]) -> list[str]:
    last = past.read(outputs_of(parse(STACK | before)))
    found = changes.mistakes(parse(STACK | before | change), last)
    return [str(mistake).removeprefix("triplane:") for mistake in found]


@pytest.mark.parametrize("case", CASES, ids=[case["when"] for case in CASES])
def test_an_impossible_change_gets_one_clear_error(case: dict[str, Any]) -> None:
    assert told(case.get("before", {}), case["change"]) == [case["told"]]


def test_every_setting_that_cannot_change_has_a_case() -> None:
    refused = {name for name, effect in changes.EFFECTS.items() if effect is changes.Effect.REFUSED}
    # A zone's name only has to end the domain, which has a case.
    assert refused - {case["told"].split(" ")[0] for case in CASES} == {"zone.name"}


@pytest.mark.parametrize(
    ("before", "change"),
    [
        ({}, {}),
        ({"versions": {"kubernetes": "1.36.1"}}, {"versions": {"kubernetes": "1.36.3"}}),
        ({"versions": {"kubernetes": "1.36.3"}}, {"versions": {"kubernetes": "1.36.1"}}),
        ({"versions": {"kubernetes": "1.36.3"}}, {"versions": {"kubernetes": "1.37.1"}}),
        ({"versions": {"etcd": "3.6.14"}}, {"versions": {"etcd": "3.6.13"}}),
        ({"encryptionKeys": ["key1"]}, {"encryptionKeys": ["key1", "key2"]}),
        ({"encryptionKeys": ["key1", "key2"]}, {"encryptionKeys": ["key2", "key1"]}),
        ({"encryptionKeys": ["key2", "key1"]}, {"encryptionKeys": ["key2"]}),
        ({}, {"image": "debian-13-x64"}),
        ({}, {"pools": [{**STACK["pools"][0], "name": "db"}, *STACK["pools"][1:]]}),
        ({}, {"pools": [{**STACK["pools"][0], "count": 5}, *STACK["pools"][1:]]}),
        (STACKED, {"pools": [STACK["pools"][0], {**STACKED["pools"][0], "roles": ["kube-master"]}]}),
        ({"pools": [STACK["pools"][0], {**STACKED["pools"][0], "roles": ["kube-master"]}]}, STACKED),
        ({}, {"pools": [*STACK["pools"][:2], {**STACK["pools"][2], "image": "debian-13-x64", "size": "s-4vcpu-8gb"}]}),
    ],
)
def test_what_a_running_cluster_can_change_is_let_through(before: dict[str, Any], change: dict[str, Any]) -> None:
    assert told(before, change) == []


def test_a_skipped_minor_version_is_refused_with_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    components = {**releases.load().components}
    components["kubernetes"] = {**components["kubernetes"], "1.38.0": components["kubernetes"]["1.37.1"]}
    monkeypatch.setattr(releases, "load", lambda: releases.Catalog(components=components))
    (line,) = told({"versions": {"kubernetes": "1.36.2"}}, {"versions": {"kubernetes": "1.38.0"}})
    assert line == (
        'versions.kubernetes = "1.38.0" skips a minor version: the cluster runs 1.36.2. '
        "Write 1.36.1, 1.36.2, 1.36.3 or 1.37.1."
    )


def test_firewalls_never_forget_a_role_while_the_host_exists() -> None:
    stacked = parse(STACK | STACKED)
    before = outputs_of(stacked)
    (now,) = {
        past.read(before).admitted(host)
        for host in parse(
            STACK | {"pools": [STACK["pools"][0], {**STACKED["pools"][0], "roles": ["kube-node", "kube-master"]}]}
        ).topology.masters
    }
    assert now == {*Role}
    for host in before["hosts"]:
        host |= {"roles": ["kube-master"], "admitted": sorted(now)}
        host.pop("etcd")
    assert past.read(before).admitted(stacked.topology.hosts[0]) == {*Role}
    assert NOTHING.admitted(stacked.topology.hosts[0]) == {Role.ETCD, Role.KUBE_MASTER}
    before["hosts"].clear()
    assert past.read(before).admitted(stacked.topology.hosts[0]) == {Role.ETCD, Role.KUBE_MASTER}


def test_a_new_stack_may_be_anything() -> None:
    assert past.read({}) == NOTHING
    assert list(changes.mistakes(parse(STACK | {"apiPort": 7443}), NOTHING)) == []


@pytest.mark.parametrize(
    ("outputs", "reason"),
    [
        ({"nodes": []}, "they have no hosts"),
        ({"hosts": [{"name": "etcd-0"}], "settings": {}}, "they have no privateName"),
        ({"hosts": [], "settings": None}, "'NoneType' object is not iterable"),
        ({"hosts": 3, "settings": {}}, "'int' object is not iterable"),
    ],
)
def test_outputs_of_another_shape_are_an_unknown_cluster(outputs: dict[str, Any], reason: str) -> None:
    last = past.read(outputs)
    assert last == Past(unreadable=reason)
    assert last.exists
    assert list(changes.mistakes(parse(STACK), last)) == []
