"""What makes a host a node: the kubelet's and kube-proxy's files, and how their steps tell that a node is Ready."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from model import paths
from model.roles import Role
from model.services import kubelet
from model.topology import Topology
from tests.unit.rendered import CLUSTER, Pool, steps
from tests.unit.test_rendered import files

STEPS = steps()
KUBELETS = [name for name in STEPS if name.startswith("kubelet-")]
UNIT_OF_KUBELET = paths.unit("kubelet")


def configuration(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(files(STEPS[name])[kubelet.CONFIGURATION])
    return document


def of_roles(*roles: Role) -> dict[str, Any]:
    topology = Topology.of(cluster="c", domain="example.com", pools=[Pool("pool", roles, count=1)])
    document: dict[str, Any] = yaml.safe_load(kubelet.configuration(CLUSTER, topology.hosts[0]))
    return document


# CIS 4.2, by the field that the benchmark looks at.
HARDENED = {
    "readOnlyPort": 0,
    "authorization": {"mode": "Webhook"},
    "makeIPTablesUtilChains": True,
    "eventRecordQPS": 50,
    "rotateCertificates": True,
    "podPidsLimit": 4096,
    "seccompDefault": True,
    "protectKernelDefaults": True,
    "tlsMinVersion": "VersionTLS12",
    "healthzBindAddress": "127.0.0.1",
}


@pytest.mark.parametrize("field", HARDENED)
@pytest.mark.parametrize("name", KUBELETS)
def test_every_kubelet_is_hardened(name: str, field: str) -> None:
    assert configuration(name)[field] == HARDENED[field]


@pytest.mark.parametrize("name", KUBELETS)
def test_a_kubelet_asks_everybody_who_he_is(name: str) -> None:
    authentication = configuration(name)["authentication"]
    assert authentication["anonymous"] == {"enabled": False}
    assert authentication["webhook"] == {"enabled": True}
    assert authentication["x509"] == {"clientCAFile": "/etc/kubernetes/kubelet/ca.crt"}


def test_cluster_dns_is_the_tenth_address_of_the_service_range() -> None:
    node = Topology.of(cluster="c", domain="example.com", pools=[Pool("n", (Role.KUBE_NODE,))]).hosts[0]
    document = yaml.safe_load(kubelet.configuration(replace(CLUSTER, services=IPv4Network("10.99.0.0/16")), node))
    assert document["clusterDNS"] == ["10.99.0.10"]
    assert document["clusterDomain"] == "cluster.local"


def test_masters_register_role_taints_and_nodes_pool_taints() -> None:
    assert configuration("kubelet-master.sh")["registerWithTaints"] == [
        {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
    ]
    assert configuration("kubelet-node.sh")["registerWithTaints"] == [
        {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}
    ]
    assert of_roles(Role.KUBE_MASTER, Role.KUBE_NODE)["registerWithTaints"] == []


def test_more_is_kept_from_pods_where_more_runs_beside_them() -> None:
    node, master = of_roles(Role.KUBE_NODE), of_roles(Role.KUBE_MASTER)
    everything = of_roles(Role.ETCD, Role.KUBE_MASTER, Role.KUBE_NODE)
    assert node["kubeReserved"]["memory"] == "256Mi"
    assert master["kubeReserved"]["memory"] == "1024Mi"
    assert everything["kubeReserved"] == {"cpu": "500m", "memory": "1280Mi", "ephemeral-storage": "1Gi"}


# Gone by 1.36 and 1.37 (kubernetes, cmd/kubelet/app/options).
GONE = re.compile(
    r"--(network-plugin|cni-\S+|container-runtime|pod-infra-container-image|docker\S*|experimental-\S+|cadvisor-port"
    r"|housekeeping-interval|require-kubeconfig|allow-privileged|register-schedulable)="
)


@pytest.mark.parametrize("name", [*KUBELETS, "kube-proxy.sh"])
def test_no_flag_that_is_gone_or_belongs_into_the_file_is_used(name: str) -> None:
    script = STEPS[name]
    assert not GONE.search(script)
    flags = set(re.findall(r"^ +--([a-z-]+)=", script, re.MULTILINE))
    expanded = {"node-ip", "provider-id"}  # by systemd, which a configuration file is not
    assert flags <= {"config", "config-dir", "kubeconfig", "hostname-override", "cloud-provider", "v"} | expanded


@pytest.mark.parametrize("name", KUBELETS)
def test_kubelet_mounts_are_visible_to_all_and_pods_survive_it(name: str) -> None:
    unit = files(STEPS[name])[UNIT_OF_KUBELET]
    # Each of these gives a service mounts of its own (systemd.exec(5)); RestrictSUIDSGID= would refuse fsGroup's mode.
    views = r"^(Private\w+|Protect\w+|ReadOnlyPaths|InaccessiblePaths|MountFlags|TemporaryFileSystem|RestrictSUIDSGID)="
    assert not re.search(views, unit, re.MULTILINE)
    assert "\nKillMode=process\n" in unit
    assert "\nAfter=network-online.target containerd.service pod-network.service\n" in unit


@pytest.mark.parametrize("name", [*KUBELETS, "kube-proxy.sh"])
def test_a_dead_master_is_left_in_seconds(name: str) -> None:
    assert "\nEnvironment=HTTP2_READ_IDLE_TIMEOUT_SECONDS=5 HTTP2_PING_TIMEOUT_SECONDS=5\n" in STEPS[name]


def proxy_configuration() -> dict[str, Any]:
    written = re.search(r"cat <<'(\w+)'\n(.*?)\1\n", STEPS["kube-proxy.sh"], re.DOTALL)
    assert written
    document: dict[str, Any] = yaml.safe_load(written.group(2))
    return document


def test_kube_proxy_tells_nobody_outside_its_host_how_it_is() -> None:
    document = proxy_configuration()
    assert document["metricsBindAddress"] == "127.0.0.1:10249"
    assert document["healthzBindAddress"] == "127.0.0.1:10256"
    assert document["clusterCIDR"] == "10.200.0.0/16"
    assert document["hostnameOverride"] == "k8s-master-0.internal.k8s.example.com"


@pytest.mark.parametrize(
    ("kernel", "nft", "mode"),
    [
        ("6.1.0-28-amd64", True, "nftables"),
        ("5.13.0", True, "nftables"),
        ("5.10.0-33-amd64", True, "iptables"),
        ("6.1.0-28-amd64", False, "iptables"),
    ],
)
def test_the_proxys_mode_is_the_best_that_the_host_has(kernel: str, nft: bool, mode: str) -> None:
    choice = re.search(r"^mode=iptables\n.*?^fi$", STEPS["kube-proxy.sh"], re.DOTALL | re.MULTILINE)
    assert choice
    host = f"uname() {{ echo {kernel}; }}; command() {{ {'true' if nft else 'false'}; }}"
    assert bash(f"{host}\n{choice.group()}\necho $mode").stdout == f"{mode}\n"


def bash(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-Eeuo", "pipefail", "-c", script], capture_output=True, text=True, check=False)


STARTED = "Sat 2026-11-21 12:00:00 UTC"
NOT_YET = "container runtime network not ready: message:Network plugin returns error: cni plugin not initialized"


def node(*, ready: str, heartbeat: str, message: str = "kubelet is posting ready status") -> str:
    """A Node as the API server prints it, with conditions before and after the one in question."""
    conditions = [
        {"type": "MemoryPressure", "status": "False", "lastHeartbeatTime": heartbeat, "message": "enough memory"},
        {"type": "Ready", "status": ready, "lastHeartbeatTime": heartbeat, "reason": "Some", "message": message},
    ]
    return json.dumps({"status": {"conditions": conditions, "addresses": [{"type": "Hostname"}]}}, indent=2)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (node(ready="True", heartbeat="2026-11-21T12:00:00Z"), None),
        (node(ready="True", heartbeat="2026-11-21T11:59:59Z"), "has not told the API anything since it started"),
        (node(ready="False", heartbeat="2026-11-21T12:00:03Z", message=NOT_YET), NOT_YET),
        ('{"kind": "Node"}', "has not told the API anything since it started"),
    ],
    ids=["ready", "words of the kubelet before", "not ready", "just registered"],
)
def test_a_node_is_ready_when_the_kubelet_that_runs_now_says_so(answer: str, said: str | None, tmp_path: Path) -> None:
    script = STEPS["kubelet-node.sh"]
    gate = script[script.index("\nfield()") : script.index("\nwait_until")]
    (tmp_path / "node.json").write_text(answer)
    host = f"say() {{ echo \"$*\"; }}; systemctl() {{ echo '{STARTED}'; }}; node() {{ cat {tmp_path}/node.json; }}"
    result = bash(f"{host}\n{gate}\nready")
    assert (result.returncode == 0) == (said is None), result.stderr
    assert said is None or said in result.stdout
