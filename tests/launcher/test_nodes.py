"""What the cluster's API says about nodes and the pods' name service, and what is wrong with them."""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import dns.rrset
import pytest

from launcher import nodes
from model.services import kubelet

DOMAIN = "internal.lab.triplane.test"
HOSTS = [
    {"name": name, "privateName": f"{name}.{DOMAIN}", "roles": [role]}
    for name, role in (("etcd-0", "etcd"), ("k8s-master-0", "kube-master"), ("k8s-node-0", "kube-node"))
]
READY = {"type": "Ready", "status": "True", "message": "kubelet is posting ready status"}
TAINT = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}


def node(name: str, role: str, *conditions: dict[str, str], **spec: Any) -> dict[str, Any]:
    return {
        "kind": "Node",
        "metadata": {"name": f"{name}.{DOMAIN}", "labels": {f"node-role.kubernetes.io/{role}": "", "zone": "a"}},
        "spec": spec,
        "status": {"conditions": conditions or [READY], "nodeInfo": {"kubeletVersion": "v1.37.1"}},
    }


def pod(on: str, phase: str = "Running") -> dict[str, Any]:
    return {"kind": "Pod", "spec": {"nodeName": f"{on}.{DOMAIN}"} if on else {}, "status": {"phase": phase}}


def coredns(ready: int) -> dict[str, Any]:
    metadata = {"namespace": "kube-system", "name": "coredns"}
    return {"kind": "Deployment", "metadata": metadata, "spec": {"replicas": 2}, "status": {"readyReplicas": ready}}


MASTER = node("k8s-master-0", "control-plane", taints=[TAINT])
NODE = node("k8s-node-0", "node")
PODS = [pod("k8s-node-0"), pod("k8s-node-0"), pod("k8s-node-0", "Pending"), pod("", "Pending")]


def test_ready_nodes_with_a_complete_name_service_are_well() -> None:
    found = nodes.read([MASTER, NODE, *PODS, coredns(2)], HOSTS)
    assert found.well
    master, worker = found.nodes
    assert (master.host, master.state, master.roles, master.version) == (
        "k8s-master-0", "Ready", ("control-plane",), "1.37.1",
    )  # fmt: skip
    assert master.taints == ("node-role.kubernetes.io/control-plane:NoSchedule",)
    assert (worker.taints, dict(worker.pods)) == ((), {"Running": 2, "Pending": 1})


def test_a_host_that_is_no_node_is_missed() -> None:
    found = nodes.read([MASTER, coredns(2)], HOSTS)
    assert [(entry.host, entry.state) for entry in found.nodes] == [
        ("k8s-master-0", "Ready"),
        ("k8s-node-0", "not registered"),
    ]
    assert not found.well


def test_a_node_that_is_no_host_is_told_with_what_to_do() -> None:
    found = nodes.read([MASTER, NODE, node("k8s-node-1", "node"), coredns(2)], HOSTS)
    assert (found.nodes[-1].name, found.nodes[-1].host) == (f"k8s-node-1.{DOMAIN}", "")
    assert "kubectl delete node" in found.nodes[-1].state
    assert not found.well


@pytest.mark.parametrize(
    ("conditions", "state"),
    [
        ([READY | {"status": "False", "message": "no network"}], "NotReady: no network"),
        (
            [READY | {"status": "Unknown", "message": "Kubelet stopped posting node status."}],
            "NotReady: Kubelet stopped posting node status.",
        ),
        ([{"type": "DiskPressure", "status": "False"}], "NotReady: its kubelet has not reported yet"),
        ([READY, {"type": "DiskPressure", "status": "True"}], "DiskPressure"),
    ],
)
def test_what_is_amiss_with_a_node_is_said(conditions: list[dict[str, str]], state: str) -> None:
    found = nodes.read([MASTER, node("k8s-node-0", "node", *conditions), coredns(2)], HOSTS)
    assert found.nodes[-1].state == state
    assert not found.well


def test_a_cordoned_node_is_the_operators_wish() -> None:
    found = nodes.read([MASTER, node("k8s-node-0", "node", unschedulable=True), coredns(2)], HOSTS)
    assert found.nodes[-1].state == "Ready, cordoned"
    assert found.well


@pytest.mark.parametrize(("objects", "well"), [([coredns(1)], False), ([], False), ([coredns(3)], True)])
def test_the_name_service_has_all_its_replicas(objects: list[dict[str, Any]], well: Any) -> None:
    assert nodes.read([MASTER, NODE, *objects], HOSTS).well is well


def test_what_the_api_answers_instead_is_handed_on(tmp_path: Path) -> None:
    kubectl = [sys.executable, "-c", "import sys; sys.exit('warning\\nerror: connection refused')"]
    found = nodes.ask(kubectl, HOSTS)
    assert found.trouble == "error: connection refused"
    assert not found.well


def reply(query: dns.message.Message, rcode: str, *addresses: str) -> bytes:
    made = dns.message.make_response(query)
    made.set_rcode(dns.rcode.from_text(rcode))
    if addresses:
        made.answer.append(dns.rrset.from_text(query.question[0].name, 5, "IN", "A", *addresses))
    return made.to_wire()


def answer(rcode: str = "NOERROR", *addresses: str) -> str:
    return base64.b64encode(reply(nodes.QUESTION, rcode, *addresses)).decode()


@pytest.mark.parametrize(
    ("output", "trouble"),
    [
        (f"Welcome\nkubelet 1.37.1 active yes\ncluster-dns {answer('NOERROR', '10.32.0.1')}\n", ""),
        (f"cluster-dns {answer('SERVFAIL')}", "SERVFAIL"),
        (f"cluster-dns {answer('NXDOMAIN')}", "NXDOMAIN"),
        (f"cluster-dns {answer()}", "an empty answer"),
        ("cluster-dns -", "no answer"),
        ("cluster-dns AAAA", "no DNS answer"),
        ("etcd 3.6.14 active yes", None),
    ],
    # The questions carry a random number of each process, and a test's name must not.
    ids=("an address", "a failure", "no such name", "no address", "silence", "no packet", "not asked"),
)
def test_a_hosts_answer_tells_whether_names_resolve(output: str, trouble: Any) -> None:
    assert nodes.parse_dns(output) == trouble


@pytest.fixture
def server() -> Iterator[tuple[socket.socket, threading.Thread]]:
    """A name server that answers one question, with what is asked put into the answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))

        def serve() -> None:
            asked, client = listening.recvfrom(512)
            listening.sendto(reply(dns.message.from_wire(asked), "NOERROR", "10.32.0.1"), client)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening, thread
        thread.join()


@pytest.mark.parametrize("line", ["- 127.0.0.1", "  - 127.0.0.1", '- "127.0.0.1"'])
def test_the_probe_queries_the_server_that_pods_use(
    server: tuple[socket.socket, threading.Thread], tmp_path: Path, line: str
) -> None:
    configuration = tmp_path / "kubelet.yaml"
    configuration.write_text(f"clusterDNS:\n{line}\nclusterDomain: cluster.local\n")
    probe = nodes.DNS_PROBE.replace("/53", f"/{server[0].getsockname()[1]}")
    probe = probe.replace(kubelet.CONFIGURATION, str(configuration))
    done = subprocess.run(["bash", "-c", probe], capture_output=True, text=True, check=True)
    assert nodes.parse_dns(done.stdout) == ""


def test_the_probe_tells_that_nobody_answers(tmp_path: Path) -> None:
    probe = nodes.DNS_PROBE.replace(kubelet.CONFIGURATION, str(tmp_path / "none"))
    done = subprocess.run(["bash", "-c", probe], capture_output=True, text=True, check=True)
    assert nodes.parse_dns(done.stdout) == "no answer"
