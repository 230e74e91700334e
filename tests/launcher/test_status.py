from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from launcher import health
from launcher.health import Host, Service, Snapshot
from launcher.nodes import Cluster, Node

ETCD = {
    "name": "etcd-0",
    "fqdn": "etcd-0.lab.triplane.test",
    "droplet": "etcd-0.lab.triplane.test",
    "roles": ["etcd"],
    "publicAddress": "198.18.0.10",
    "privateAddress": "10.240.0.2",
}
MASTER = ETCD | {"name": "k8s-master-0", "roles": ["kube-master"], "publicAddress": "198.18.0.11"}
NODE = MASTER | {"name": "k8s-node-0", "roles": ["kube-node"], "publicAddress": "198.18.0.12"}
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def service(name: str, *, healthy: bool = True, active: str = "active") -> Service:
    return Service(name=name, version="1.2.3", active=active, healthy=healthy)


def kubernetes_node(name: str, **changes: Any) -> Node:
    whole = {"name": f"{name}.internal", "host": name, "roles": ("node",), "version": "1.37.1", "pods": {"Running": 3}}
    return Node(**(whole | changes))


CLUSTER = Cluster(nodes=(kubernetes_node("k8s-node-0"),), dns_ready=2, dns_wanted=2)


def snapshot(**changes: Any) -> Snapshot:
    hosts = (
        Host(output=ETCD, power="active", services=(service("etcd"),)),
        Host(output=MASTER, power="active", services=(service("kube-apiserver"), service("kube-scheduler"))),
        Host(output=NODE, power="active", services=(service("kubelet"),), dns=""),
    )
    whole: dict[str, Any] = {
        "lab": "lab runs",
        "memory": 3 << 30,
        "hosts": hosts,
        "endpoint": "https://api.lab.triplane.test:6443",
        "ready": {"k8s-master-0": "ok"},
        "cluster": CLUSTER,
        "certificates": {"admin": "2027-11-21T00:00:00Z", "etcd-peer-etcd-0": "2026-12-01T00:00:00+00:00"},
        "settings": {
            "certificates.caHours": 87600.0,
            "certificates.leafHours": 8760.0,
            "certificates.renewHours": 24.0,
        },
        "now": NOW,
    }
    return Snapshot(**(whole | changes))


def shown(sample: Snapshot) -> str:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(health.render(sample))
    return capture.get()


def test_every_host_is_listed_with_addresses_roles_and_services() -> None:
    text = shown(snapshot())
    for word in ("etcd-0", "198.18.0.10", "10.240.0.2", "kube-master", "etcd 1.2.3: healthy", "3,072 MiB", "6443"):
        assert word in text
    assert "All is well." in text


def test_the_first_certificate_to_expire_is_named_with_days_left() -> None:
    assert "2 certificates; the first to expire is etcd-peer-etcd-0, on 2026-12-01 (in 10 days)\n" in shown(snapshot())


def test_the_next_up_is_told_where_it_renews_the_first() -> None:
    settings = {"certificates.caHours": 87600, "certificates.leafHours": 8760, "certificates.renewHours": 2880}
    text = shown(snapshot(settings=settings))
    assert "on 2026-12-01 (in 10 days); the next `up` renews it\n" in text
    assert "of today" not in text


def test_a_certificate_that_no_up_renews_in_time_is_a_warning() -> None:
    text = " ".join(shown(snapshot()).split())
    assert "1 certificate ends soon, the first of them etcd-peer-etcd-0, on 2026-12-01 00:00 UTC, and an `up`" in text
    assert snapshot().well


def test_certificates_that_have_ended_spoil_the_verdict() -> None:
    sample = snapshot(now=datetime(2026, 12, 1, 1, tzinfo=UTC), settings={})
    assert "1 certificate has ended, the first of them etcd-peer-etcd-0" in " ".join(shown(sample).split())
    assert not sample.well


def test_an_unhealthy_service_is_shown_and_spoils_the_verdict() -> None:
    sample = snapshot(
        hosts=(Host(output=ETCD, power="active", services=(service("etcd", healthy=False, active="failed"),)),)
    )
    assert "etcd 1.2.3: failed, not healthy" in shown(sample)
    assert "Not all is well." in shown(sample)
    assert not sample.well


def test_a_unit_that_is_restarting_is_not_called_healthy() -> None:
    sample = snapshot(hosts=(Host(output=ETCD, power="active", services=(service("etcd", active="activating"),)),))
    assert "activating, not healthy" in shown(sample)


def test_a_host_that_is_off_is_shown_as_off() -> None:
    sample = snapshot(hosts=(Host(output=ETCD, power="off", trouble="powered off"),))
    assert "powered off" in shown(sample)
    assert not sample.well


def test_a_master_that_is_not_ready_spoils_the_verdict() -> None:
    sample = snapshot(ready={"k8s-master-0": "[-]etcd failed"})
    assert "/readyz says [-]etcd failed" in shown(sample)
    assert not sample.well


def test_nodes_are_shown_with_their_pods_and_the_name_service() -> None:
    text = shown(snapshot())
    assert "CoreDNS: 2 of 2 replicas are ready" in text
    assert "names of the cluster resolve on 1 of 1 nodes" in text
    (line,) = [line.split() for line in text.splitlines() if "3 running" in line]
    assert line == ["k8s-node-0", "Ready", "node", "1.37.1", "3", "running"]


def test_a_node_that_is_not_ready_spoils_the_verdict() -> None:
    node = kubernetes_node("k8s-node-0", trouble="NotReady: Kubelet stopped posting node status.")
    sample = snapshot(cluster=replace(CLUSTER, nodes=(node,)))
    assert "Kubelet stopped posting node status." in shown(sample)
    assert not sample.well


def test_a_host_on_which_names_do_not_resolve_spoils_the_verdict() -> None:
    sample = snapshot(hosts=(Host(output=NODE, power="active", services=(service("kubelet"),), dns="no answer"),))
    assert "k8s-node-0: names of the cluster do not resolve: no answer" in shown(sample)
    assert not sample.well


def test_an_api_that_does_not_tell_of_nodes_spoils_the_verdict() -> None:
    sample = snapshot(cluster=Cluster(trouble="connection refused"))
    assert "nodes: the API says connection refused" in shown(sample)
    assert not sample.well


def test_no_cluster_is_told_with_what_to_do() -> None:
    text = shown(Snapshot(lab="lab is not running", memory=None, hint="no cluster yet: run ./triplane up"))
    assert "./triplane up" in text
    assert "MiB" not in text


def test_programs_get_the_same_in_json() -> None:
    read = json.loads(health.as_json(snapshot()))
    assert read["well"] is True
    assert read["hosts"][1]["services"]["kube-scheduler"] == {"version": "1.2.3", "active": "active", "healthy": True}
    assert read["hosts"][2]["clusterDns"] == ""
    assert read["cluster"]["dns"] == {"ready": 2, "wanted": 2}
    assert read["cluster"]["nodes"][0]["pods"] == {"Running": 3}


def test_the_probe_asks_for_the_units_of_all_roles_once() -> None:
    script = health.probe_script(["etcd", "kube-master", "kube-node"], 6443)
    for unit in health.CHECKS:
        assert script.count(f'echo "{unit} ') == 1
    assert script.count("cluster-dns") == 1
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_every_role_runs_something() -> None:
    assert [role for role, units in health.UNITS.items() if not units] == []


def test_a_host_of_etcd_alone_is_asked_of_nothing_else() -> None:
    assert set(re.findall(r'echo "([a-z-]+) ', health.probe_script(["etcd"], 6443))) == {"etcd"}


def test_the_probe_reports_a_unit_that_does_not_run(tmp_path: Path) -> None:
    """Run for real, with a systemctl that knows of no unit and a port where nothing listens."""
    fake = tmp_path / "systemctl"
    fake.write_text('#!/bin/sh\n[ "$1" = is-active ] && echo inactive\nexit 0\n')
    fake.chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", health.probe_script(["kube-master"], 1)],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    services = health.parse_probe(done.stdout)
    assert [(found.name, found.version, found.active, found.healthy) for found in services] == [
        (unit, "none", "inactive", False) for unit in health.UNITS["kube-master"]
    ]


def test_other_lines_of_a_host_are_not_taken_for_services() -> None:
    output = "Welcome to Debian\netcd 3.6.14 active yes\nsomething else active yes\n"
    assert health.parse_probe(output) == (Service(name="etcd", version="3.6.14", active="active", healthy=True),)
