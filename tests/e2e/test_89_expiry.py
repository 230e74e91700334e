"""Every certificate ends for real: one plain `up` brings the cluster back, with all that was written before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from lab.plugins.tls.resources import CLOCK
from model.certificates import Authority
from tests.e2e.cluster import Cluster, Load
from tests.e2e.pods import namespace, node_name, serve
from tests.waiting import wait_for

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]

LIFETIMES = {"caHours": 4, "leafHours": 2, "renewHours": 1}
MINUTES_LEFT = 12
"""Longer than an `up` takes that changes every service."""
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


def ends(cluster: Cluster, wanted: Callable[[str], bool]) -> list[datetime]:
    cluster.forget_outputs()
    told: dict[str, str] = cluster.outputs["certificates"]
    return [datetime.fromisoformat(end) for name, end in told.items() if wanted(name)]


def is_leaf(name: str) -> bool:
    return name not in set(Authority)


def config_map(number: int) -> dict[str, Any]:
    name = f"before-the-end-{number}"
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"number": str(number)}}


def test_shorter_lives_and_renewed_authorities_roll_through(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old and new certificates of an authority with the same key believe each other."""
    monkeypatch.setenv(CLOCK, str((MINUTES_LEFT - LIFETIMES["leafHours"] * 60) * 60))
    for name, hours in LIFETIMES.items():
        cluster.configure(f"triplane:certificates.{name}", str(hours))
    with cluster.api() as api, Load(api).running() as load:
        cluster.up()
    assert load.failures == []


def test_one_up_heals_a_cluster_whose_certificates_ended(cluster: Cluster) -> None:
    leaves, authorities = ends(cluster, is_leaf), ends(cluster, lambda name: not is_leaf(name))
    with cluster.api() as api:
        written = [number for number in range(50) if api.request("POST", CONFIG_MAPS, config_map(number))[0] == 201]
    assert written
    with namespace(cluster, "e2e-expiry") as place:
        place.pod("resident", serve(nodeName=node_name("k8s-node-0")))
        place.all_ready("resident", 1)
        wait_for("all leaves have ended", lambda: datetime.now(UTC) > max(leaves), seconds=60 * MINUTES_LEFT)
        assert datetime.now(UTC) < min(authorities)
        # A host that boots holds no connection from before.
        for host in ("etcd-0", "etcd-1", "k8s-master-1"):
            cluster.power(host, "reboot")
        refused = cluster.run("kubectl", "get", "namespaces", fails=True)
        assert "certificate has expired" in refused
        assert "have ended, the first of them" in cluster.run("status", fails=True)

        output = cluster.up()
        assert "certificates have ended, the first of them" in output
        # The authorities were in their window: they are renewed in the same run.
        assert min(ends(cluster, lambda name: not is_leaf(name))) > max(authorities)

        with cluster.api() as api:
            found = [api.request("GET", f"{CONFIG_MAPS}/before-the-end-{number}") for number in written]
        assert [(status, answer["data"]["number"]) for status, answer in found] == [(200, str(it)) for it in written]
        place.all_ready("resident", 1)
        assert cluster.run("etcdctl", "endpoint", "health", "--cluster").count("is healthy") == 3
    wait_for("everything to be well again", cluster.is_well)
    assert cluster.plan() == {}
