"""Hosts as Kubernetes nodes: what they are, whom they believe, and what their kubelets may do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from model import paths
from model.services import kube_proxy, kubelet
from tests.e2e.cluster import Api, Cluster
from tests.e2e.pods import DOMAIN, Namespace, namespace, node_name, run
from tests.waiting import wait_for

MASTER = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
KUBELET = f"https://k8s-node-0.{DOMAIN}:10250"


@pytest.fixture(scope="module")
def place(cluster: Cluster) -> Iterator[Namespace]:
    with namespace(cluster, "e2e-nodes") as place:
        yield place


@pytest.fixture(scope="module")
def as_kubelet(cluster: Cluster) -> Api:
    """The API as the kubelet of k8s-node-0 may use it."""
    return Api(cluster.outputs["apiEndpoint"], cluster.ssh("k8s-node-0", f"cat {kubelet.KUBECONFIG}"))


def nodes(place: Namespace) -> dict[str, dict[str, Any]]:
    return {node["metadata"]["name"]: node for node in place.ask("GET", "/api/v1/nodes")["items"]}


def conditions(node: dict[str, Any]) -> dict[str, str]:
    return {condition["type"]: condition["status"] for condition in node["status"]["conditions"]}


def test_masters_and_nodes_are_ready_under_their_private_names(cluster: Cluster, place: Namespace) -> None:
    hosts = {node["privateName"]: node for node in cluster.hosts.values() if "etcd" not in node["roles"]}
    found = nodes(place)
    assert set(found) == set(hosts)
    for name, node in found.items():
        assert conditions(node)["Ready"] == "True", node["status"]["conditions"]
        addresses = {(address["type"], address["address"]) for address in node["status"]["addresses"]}
        assert addresses == {("InternalIP", hosts[name]["privateAddress"]), ("Hostname", name)}
        assert node["spec"]["providerID"] == f"digitalocean://{cluster.droplet(hosts[name]['name'])['id']}"
        assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.37.1"
        assert node["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("containerd://")


def test_masters_and_nodes_have_role_labels_and_masters_a_taint(place: Namespace) -> None:
    for name, node in nodes(place).items():
        prefix = "node-role.kubernetes.io/"
        roles = {label.removeprefix(prefix) for label in node["metadata"]["labels"] if label.startswith(prefix)}
        master = "master" in name
        assert roles == ({"control-plane"} if master else {"node"}), name
        assert node["spec"].get("taints", []) == ([MASTER] if master else []), name


def test_the_kubelet_configuration_follows_the_cis_benchmark(place: Namespace) -> None:
    for host in ("k8s-node-0", "k8s-node-1", "k8s-master-0", "k8s-master-1", "k8s-master-2"):
        config = place.kubelet(host)
        assert config["authentication"]["anonymous"]["enabled"] is False
        assert config["authentication"]["webhook"]["enabled"] is True
        assert config["authorization"]["mode"] == "Webhook"
        assert config.get("readOnlyPort", 0) == 0
        assert config["rotateCertificates"] is True
        assert config["seccompDefault"] is True
        assert config["podPidsLimit"] > 0
        assert config["makeIPTablesUtilChains"] is True
        assert config["streamingConnectionIdleTimeout"] not in {"0s", ""}
        assert config["tlsMinVersion"] == "VersionTLS12"
        assert config["clusterDNS"] == ["10.32.0.10"]
        assert config["clusterDomain"] == "cluster.local"


def test_node_files_are_roots_and_only_public_ones_are_readable(cluster: Cluster) -> None:
    # CIS 4.1.1 to 4.1.10. What everybody may read there is certificates at most, and nobody else may write anything.
    find = (
        f"find /etc/kubernetes /etc/cni /etc/containerd {kubelet.RENEWED} /etc/systemd/system/kubelet.service "
        "/etc/systemd/system/kube-proxy.service /etc/systemd/system/containerd.service"
    )
    for host in ("k8s-node-0", "k8s-master-0"):
        listing = cluster.ssh(host, rf"{find} -type f -printf '%u:%g %m %p\n'").splitlines()
        files = {path: (owner, int(mode, 8)) for owner, mode, path in (line.split() for line in listing)}
        assert kubelet.KUBECONFIG in files
        assert {path for path, (owner, _) in files.items() if owner != "root:root"} == set()
        assert {path for path, (_, mode) in files.items() if mode & 0o022 or mode & 0o111} == set()
        readable = {path for path, (_, mode) in files.items() if mode & 0o077}
        assert {path for path in readable if not path.endswith(".crt")} == set()


def test_a_kubelet_reads_only_the_secrets_of_its_own_pods(place: Namespace, as_kubelet: Api) -> None:
    for secret, host in (("own", "k8s-node-0"), ("other", "k8s-node-1")):
        place.create("Secret", secret, stringData={"k": "v"})
        volume = {"name": "secret", "secret": {"secretName": secret}}
        place.pod(secret, run("pause", nodeName=node_name(host), volumes=[volume]))
    own, other = place.path("Secret", "own"), place.path("Secret", "other")
    wait_for("the kubelet to read its pod's secret", lambda: as_kubelet.request("GET", own)[0] == 200)
    status, answer = as_kubelet.request("GET", other)
    assert (status, answer["reason"]) == (403, "Forbidden")
    assert "no relationship found between node" in answer["message"]
    assert as_kubelet.request("GET", place.path("Secret"))[0] == 403


@pytest.mark.parametrize(
    ("node", "change", "refusal"),
    [
        ("k8s-node-0", {"metadata": {"labels": {MASTER["key"]: ""}}}, "not allowed to modify labels"),
        ("k8s-node-0", {"spec": {"taints": [MASTER]}}, "not allowed to modify taints"),
        ("k8s-node-1", {"metadata": {"labels": {"example.com/own": "yes"}}}, "not allowed to modify node"),
        ("k8s-master-0", {"spec": {"unschedulable": True}}, "not allowed to modify node"),
    ],
    ids=["a-masters-label", "taints", "another-node", "a-master"],
)
def test_a_kubelet_changes_neither_its_role_nor_another_node(
    as_kubelet: Api, node: str, change: dict[str, Any], refusal: str
) -> None:
    status, answer = as_kubelet.request("PATCH", f"/api/v1/nodes/{node_name(node)}", change)
    assert status == 403
    assert refusal in answer["message"]


def test_a_kubelet_may_change_its_own_node_but_not_another(place: Namespace, as_kubelet: Api) -> None:
    # The refusals above are of what is asked, not of who asks.
    path = f"/api/v1/nodes/{node_name('k8s-node-0')}"
    assert as_kubelet.request("PATCH", path, {"metadata": {"annotations": {"example.com/e2e": "yes"}}})[0] == 200
    assert as_kubelet.request("PATCH", path, {"metadata": {"annotations": {"example.com/e2e": None}}})[0] == 200
    assert as_kubelet.request("DELETE", f"/api/v1/nodes/{node_name('k8s-node-1')}")[0] == 403


def test_kube_proxy_reads_services_and_no_secrets(cluster: Cluster, place: Namespace) -> None:
    proxy = Api(cluster.outputs["apiEndpoint"], cluster.ssh("k8s-node-0", f"cat {kube_proxy.KUBECONFIG}"))
    assert proxy.request("GET", "/api/v1/services")[0] == 200
    assert proxy.request("GET", "/apis/discovery.k8s.io/v1/endpointslices")[0] == 200
    assert proxy.request("GET", place.path("Secret"))[0] == 403


# A master is who may reach the port at all, and what it sees is held against the authority of the cluster.
ASK = (
    f"curl --silent --show-error --cacert {paths.certificate(paths.KUBERNETES_PKI, 'cluster-signing-ca')} "
    f"--output /dev/null --write-out '%{{http_code}}' {KUBELET}/pods"
)


def test_a_kubelet_refuses_who_does_not_say_who_it_is(cluster: Cluster) -> None:
    assert cluster.ssh("k8s-master-0", ASK).strip() == "401"


def test_a_kubelet_refuses_who_has_no_right(cluster: Cluster) -> None:
    # Another kubelet: believed to be who it is, and nothing more.
    field = f"kubeconfig_field {kubelet.KUBECONFIG}"
    own = f"--cert <({field} client-certificate-data) --key <({field} client-key-data)"
    assert cluster.ssh("k8s-master-0", f". {paths.STEP_LIBRARY}; {ASK} {own}").strip() == "403"


def test_a_kubelet_answers_the_api_server(cluster: Cluster) -> None:
    # The refusals above are of those who ask, not of the question.
    client = f"{paths.KUBERNETES_PKI}/apiserver-kubelet-client"
    assert cluster.ssh("k8s-master-0", f"{ASK} --cert {client}.crt --key {client}.key").strip() == "200"


def test_no_read_only_kubelet_port_and_kube_proxy_on_loopback(cluster: Cluster) -> None:
    for host in ("k8s-node-0", "k8s-master-0"):
        lines = cluster.ssh(host, "ss --listening --tcp --numeric --no-header --processes").splitlines()
        listening = [(line.split()[3].rpartition(":"), line) for line in lines]
        assert any(port == "10250" for (_, _, port), _ in listening)
        assert not [line for (_, _, port), line in listening if port == "10255"]
        assert {address for (address, _, _), line in listening if "kube-proxy" in line} == {"127.0.0.1"}


def test_services_are_nftables_rules(cluster: Cluster) -> None:
    for host in ("k8s-node-0", "k8s-master-0"):
        assert cluster.ssh(host, "curl --silent http://127.0.0.1:10249/proxyMode").strip() == "nftables"
        assert "10.32.0.1" in cluster.ssh(host, "nft list table ip kube-proxy")


def test_status_shows_what_runs_on_a_node(cluster: Cluster) -> None:
    hosts = {host["name"]: host for host in json.loads(cluster.run("status", "--json"))["hosts"]}
    for host in ("k8s-node-0", "k8s-master-0"):
        services = hosts[host]["services"]
        assert {"containerd", "kubelet", "kube-proxy", "flanneld"} <= set(services)
        assert all(service["healthy"] for service in services.values())
