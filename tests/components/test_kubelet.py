"""The shape of the graph where a host becomes a node: kubelet, kube-proxy, and who they are."""

from __future__ import annotations

import re
from base64 import b64decode

import pytest
import yaml

from tests.components.graph import SMALL, Graph, Resource, engine_after, graph_of, run_program
from tests.components.test_graph import brought

KUBELET, PROXY = "kubelet", "kube-proxy"


def steps(graph: Graph, service: str) -> dict[str, Resource]:
    """By host."""
    commands = {step.name: step for step in graph.of(":Command") if f"-install-{service}" not in step.name}
    ending = f"-{service}"
    return {name.removesuffix(ending): step for name, step in commands.items() if name.endswith(ending)}


def bundle(step: Resource) -> dict[str, tuple[str, str]]:
    """Secret files by path: mode and content."""
    return {path: (rights.split()[1], content) for path, rights, content in brought(step)}


def small(**changes: str) -> Graph:
    return graph_of("lab", pools=SMALL, **changes)


def nodes(graph: Graph) -> set[str]:
    return {d.name for d in graph.of(":Droplet") if {"kube-master", "kube-node"} & set(d.inputs["tags"])}


def changed(before: Graph, after: Graph) -> set[str]:
    old = {r.urn: r.inputs for r in before.resources}
    assert old.keys() == {r.urn for r in after.resources}
    return {r.name for r in after.resources if r.inputs != old[r.urn]}


@pytest.mark.parametrize("service", [KUBELET, PROXY])
def test_every_master_and_node_runs_it_and_no_other_host(graph: Graph, service: str) -> None:
    assert set(steps(graph, service)) == nodes(graph)


def test_a_kubelet_comes_after_containerd_and_all_api_servers(graph: Graph) -> None:
    for host, step in steps(graph, KUBELET).items():
        before = graph.before(step)
        assert {graph.named(":Command", f"{host}-{need}").urn for need in ("install-kubelet", "containerd")} <= before
        assert all(graph.waited(step, api) for api in steps(graph, "kube-apiserver").values())
        assert {record.urn for record in graph.of(":DnsRecord") if record.name.startswith("api-internal-")} <= before


def test_kube_proxy_comes_after_the_nodes_kubelet(graph: Graph) -> None:
    for host, step in steps(graph, PROXY).items():
        assert {steps(graph, KUBELET)[host].urn, graph.named(":Command", f"{host}-install-kube-proxy").urn} <= (
            step.depends_on
        )


@pytest.mark.parametrize("service", [KUBELET, PROXY])
def test_hosts_change_one_at_a_time_within_a_pool(service: str) -> None:
    found = steps(run_program("prod", engine_after(graph_of("prod"))), service)
    assert len({re.sub(r"-\d+$", "", host) for host in found}) > 1
    for host, step in found.items():
        pool, index = host.rsplit("-", 1)
        others = {other for other, it in found.items() if it.urn in step.depends_on}
        assert others == ({f"{pool}-{int(index) - 1}"} if index != "0" else set())


def test_a_kubelet_is_its_own_node_to_the_api_and_nobody_else(graph: Graph) -> None:
    for host, step in steps(graph, KUBELET).items():
        mode, text = bundle(step)["/etc/kubernetes/kubelet.kubeconfig"]
        user = yaml.safe_load(text)["users"][0]
        request = graph.named(":CertRequest", f"kubelet-client-{host}").inputs
        assert mode == "600"
        assert user["name"] == request["subject"]["commonName"]
        assert re.fullmatch(rf"system:node:{host}\.internal\.[a-z0-9.-]+", user["name"])
        assert request["subject"]["organization"] == "system:nodes"
        assert b64decode(user["user"]["client-key-data"]).decode() in private_key(f"kubelet-client-{host}")
        signed = graph.named(":LocallySignedCert", f"kubelet-client-{host}").inputs
        assert signed["allowedUses"] == ["digital_signature", "client_auth"]
        assert "kubernetes-ca" in str(signed["caCertPem"])


def private_key(name: str) -> str:
    return f"-----BEGIN EC PRIVATE KEY-----\n{name}\n-----END EC PRIVATE KEY-----\n"


def test_a_kubelet_serves_a_certificate_the_api_server_verifies(graph: Graph) -> None:
    for host, step in steps(graph, KUBELET).items():
        files = bundle(step)
        assert files["/etc/kubernetes/kubelet/serving.key"] == ("600", private_key(f"kubelet-serving-{host}"))
        # Whom it believes: the Kubernetes CA alone, not the one that signs whatever is asked for in the cluster.
        assert files["/etc/kubernetes/kubelet/ca.crt"][1].splitlines() == ["certificate kubernetes-ca"]
        signed = graph.named(":LocallySignedCert", f"kubelet-serving-{host}").inputs
        assert signed["allowedUses"] == ["digital_signature", "server_auth"]
        assert "cluster-signing-ca" in str(signed["caCertPem"])
        names = graph.named(":CertRequest", f"kubelet-serving-{host}").inputs["dnsNames"]
        assert len(names) == 1
        assert f"--hostname-override={names[0]} " in step.inputs["create"]


def test_api_servers_call_kubelets_by_their_certificate_names(graph: Graph) -> None:
    for step in steps(graph, "kube-apiserver").values():
        assert "--kubelet-preferred-address-types=Hostname " in step.inputs["create"]
        assert "--kubelet-certificate-authority=/etc/kubernetes/pki/cluster-signing-ca.crt " in step.inputs["create"]


@pytest.mark.parametrize("service", [KUBELET, PROXY])
def test_nodes_talk_to_all_masters_by_the_apis_private_name(lab: Graph, service: str) -> None:
    for step in steps(lab, service).values():
        text = bundle(step)[f"/etc/kubernetes/{service}.kubeconfig"][1]
        server = yaml.safe_load(text)["clusters"][0]["cluster"]["server"]
        assert server == "https://api.internal.lab.triplane.test:6443"


@pytest.mark.parametrize("service", [KUBELET, PROXY])
def test_a_flag_of_one_touches_its_steps_alone(service: str) -> None:
    before, after = small(), small(extraFlags=f'{{"{service}": {{"v": "4"}}}}')
    assert changed(before, after) == {f"{host}-{service}" for host in nodes(before)}


def test_who_may_come_to_node_ports_is_the_firewalls_alone() -> None:
    before = small(nodePortsAllowed="[]")
    after = small(nodePortsAllowed='["203.0.113.0/24"]')
    assert changed(before, after) == {"firewall-nodes"}
    rules = after.named(":Firewall", "firewall-nodes").inputs["inboundRules"]
    assert {
        (rule["protocol"], rule["portRange"]) for rule in rules if "203.0.113.0/24" in rule.get("sourceAddresses", [])
    } == {
        ("tcp", "30000-32767"),
        ("udp", "30000-32767"),
    }


def test_kubelets_are_called_by_masters_alone(graph: Graph) -> None:
    callers = [
        rule
        for firewall in graph.of(":Firewall")
        for rule in firewall.inputs.get("inboundRules", [])
        if rule["portRange"] == "10250"
    ]
    assert len(callers) == 1
    assert [tag.rsplit("-kube-", 1)[1] for tag in callers[0]["sourceTags"]] == ["master"]
    assert not callers[0].get("sourceAddresses")


def test_a_registrys_port_is_open_outbound() -> None:
    mirror = '{"url": "https://mirror.example.com", "registry": "https://registry.example.com:5000"}'
    rules = small(mirror=mirror).named(":Firewall", "firewall-hosts").inputs["outboundRules"]
    assert "5000" in {rule["portRange"] for rule in rules}


def test_with_abac_nodes_and_their_callers_may_do_what_they_do() -> None:
    step = steps(small(authorizationMode='"ABAC"'), "kube-apiserver")["k8s-master-0"]
    for subject in (
        '"group": "system:nodes"',
        '"user": "system:kube-proxy"',
        '"user": "kube-apiserver-kubelet-client"',
    ):
        assert subject in step.inputs["create"]


def test_every_kubelet_says_which_droplet_it_is(graph: Graph) -> None:
    for host, step in steps(graph, KUBELET).items():
        assert "--provider-id=digitalocean://${DROPLET_ID}" in step.inputs["create"], host
        assert "--cloud-provider=" not in step.inputs["create"], host


def test_a_cloud_controller_finds_droplets_by_node_name() -> None:
    after = small(cloudController="true")
    for host, step in steps(after, KUBELET).items():
        assert "--cloud-provider=external" in step.inputs["create"]
        # The controller writes the droplet's name as the node's Hostname, and by that the API server calls the kubelet.
        assert f"--hostname-override={after.named(':Droplet', host).inputs['name']} " in step.inputs["create"]


# Nothing is open where no range is named: the API refuses a rule without peers.
@pytest.mark.parametrize(("ranges", "expected"), [('["10.240.0.0/20"]', [["10.240.0.0/20"]]), ("[]", [])])
def test_cloud_load_balancers_can_check_kube_proxy_health(ranges: str, expected: list[object]) -> None:
    # What such a load balancer asks each node (digitalocean-cloud-controller-manager, do/loadbalancers.go).
    after = small(cloudController="true", nodePortsAllowed=ranges)
    for host, step in steps(after, PROXY).items():
        assert "\nhealthzBindAddress: 0.0.0.0:10256\n" in step.inputs["create"], host
    rules = after.named(":Firewall", "firewall-nodes").inputs["inboundRules"]
    assert [rule["sourceAddresses"] for rule in rules if rule["portRange"] == "10256"] == expected


def test_without_a_cloud_controller_no_one_may_check_kube_proxy(graph: Graph) -> None:
    for host, step in steps(graph, PROXY).items():
        assert "\nhealthzBindAddress: 127.0.0.1:10256\n" in step.inputs["create"], host
    rules = graph.named(":Firewall", "firewall-nodes").inputs["inboundRules"]
    assert "10256" not in {rule["portRange"] for rule in rules}
