"""A cluster that was raised with one command: what it is, and what a second `up` and a change do to it."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta

from tests.e2e.cluster import Cluster, Load, resolve
from tests.waiting import wait_for

PROBE = f"probe-{time.monotonic_ns()}"


def test_every_api_server_is_ready_and_the_leaders_are_elected(cluster: Cluster) -> None:
    with cluster.api() as api:
        assert api.request("GET", "/readyz") == (200, "ok")
        wait_for(
            "leaders of scheduler and controller manager",
            lambda: (
                {
                    lease["metadata"]["name"]
                    for lease in api.request("GET", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases")[1][
                        "items"
                    ]
                    if lease["spec"].get("holderIdentity")
                }
                >= {"kube-scheduler", "kube-controller-manager"}
            ),
        )


def test_status_finds_everything_well(cluster: Cluster) -> None:
    status = cluster.run("status")
    assert "All is well." in status
    assert status.count("kube-apiserver") == 3
    assert status.count("etcd 3.6.14: healthy") == 3


def test_kubectl_and_etcdctl_and_ssh_work_through_the_launcher(cluster: Cluster) -> None:
    assert "kube-system" in cluster.run("kubectl", "get", "namespaces")
    members = json.loads(cluster.run("etcdctl", "member", "list", "--write-out=json").splitlines()[-1])["members"]
    assert {member["name"] for member in members} == {"etcd-0", "etcd-1", "etcd-2"}
    assert cluster.ssh("k8s-master-1", "hostname").strip().endswith("k8s-master-1.lab.triplane.test")


def test_names_hold_public_and_private_addresses(cluster: Cluster) -> None:
    for name, node in cluster.hosts.items():
        assert resolve(f"{name}.lab.triplane.test") == [node["publicAddress"]]
        assert resolve(f"{name}.internal.lab.triplane.test") == [node["privateAddress"]]
    masters = {node["publicAddress"] for name, node in cluster.hosts.items() if "master" in name}
    assert set(resolve("api.lab.triplane.test")) == masters


def test_secrets_are_encrypted_at_rest(cluster: Cluster) -> None:
    with cluster.api() as api:
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": PROBE},
            "stringData": {"k": "in-the-open"},
        }
        assert api.request("POST", "/api/v1/namespaces/default/secrets", secret)[0] == 201
        stored = cluster.run("etcdctl", "get", f"/registry/secrets/default/{PROBE}", "--print-value-only")
        assert "k8s:enc:secretbox:v1:key1:" in stored
        assert "in-the-open" not in stored
        assert api.request("DELETE", f"/api/v1/namespaces/default/secrets/{PROBE}")[0] == 200


def test_requests_are_audited_without_the_bodies_of_secrets(cluster: Cluster) -> None:
    logs = "".join(cluster.ssh(f"k8s-master-{i}", "cat /var/log/kubernetes/audit.log") for i in range(3))
    assert f'"name":"{PROBE}"' in logs
    assert "in-the-open" not in logs


def test_anonymous_requests_reach_only_the_health_checks(cluster: Cluster) -> None:
    call = "curl --silent --cacert /etc/kubernetes/pki/ca.crt --output /dev/null --write-out '%{http_code}'"
    assert cluster.ssh("k8s-master-0", f"{call} https://127.0.0.1:6443/readyz").strip() == "200"
    assert cluster.ssh("k8s-master-0", f"{call} https://127.0.0.1:6443/api").strip() == "401"


def test_certificates_have_their_lifetimes(cluster: Cluster) -> None:
    expiries = {name: datetime.fromisoformat(text) for name, text in cluster.outputs["certificates"].items()}
    assert len(expiries) == 54
    year = datetime.now(UTC) + timedelta(hours=8760)
    for name, expiry in expiries.items():
        if not name.endswith("-ca"):
            assert timedelta(hours=-2) < expiry - year < timedelta(minutes=1), name


def test_a_second_up_plans_nothing(cluster: Cluster) -> None:
    assert cluster.plan() == {}
    output = cluster.up()
    assert " unchanged" in output
    assert "provider plugins: the lab's stand-ins for digitalocean 4." in output
    assert not re.search("created|updated|deleted|replaced", output)


def test_one_flag_runs_only_its_three_steps_without_downtime(cluster: Cluster) -> None:
    # Leaders among controller managers and schedulers may hand over while their own API server is away; flannel has no
    # part in this.
    started = "systemctl show --property=ActiveEnterTimestampMonotonic --value flanneld kube-apiserver"
    hosts = [f"k8s-master-{i}" for i in range(3)]
    before = {host: cluster.ssh(host, started).split() for host in hosts}
    cluster.configure("triplane:extraFlags.kube-apiserver.v", "1")
    assert cluster.plan() == {f"{host}-kube-apiserver": "update" for host in hosts}
    with cluster.api() as api, Load(api).running() as load:
        output = cluster.up()
    assert "3 updated" in output
    assert load.requests > 100
    assert load.failures == []
    assert load.lost == set()
    assert load.timed_out == 0
    assert api.repeated <= 3
    after = {host: cluster.ssh(host, started).split() for host in hosts}
    for host in hosts:
        restarted = [a != b for a, b in zip(before[host], after[host], strict=True)]
        assert restarted == [False, True], f"{host}: {before[host]} {after[host]}"


def test_an_etcd_flag_restarts_members_without_losing_a_write(cluster: Cluster) -> None:
    cluster.configure("triplane:extraFlags.etcd.snapshot-count", "20000")
    with cluster.api() as api, Load(api).running() as load:
        # Nothing else: what came before left nothing to do.
        assert cluster.applied() == {f"etcd-{i}-etcd": "update" for i in range(3)}
    assert load.failures == []
    assert load.lost == set()
    assert load.timed_out <= 3  # one for each member that is restarted, as it leads
    assert api.repeated <= 3
    assert cluster.ssh("etcd-1", "grep SNAPSHOT /etc/etcd/etcd.env").strip() == "ETCD_SNAPSHOT_COUNT=20000"
