"""The shape of the graph: names, tags, parents, order and secrets."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterator

import pytest

from lab.plugins import digitalocean
from model.services.registry import SERVICES
from tests.components.graph import COMPUTED, Graph, Resource, Secret, graph_of, texts

PRIVATE_KEY = re.compile(r"PRIVATE KEY")


def names(resources: list[Resource]) -> set[str]:
    return {resource.name for resource in resources}


def value(secret: object) -> str:
    assert isinstance(secret, Secret)
    assert isinstance(secret.value, str)
    return secret.value


def files(step: Resource) -> dict[str, str]:
    """The files that a step brings on its stdin."""
    return {path: content for path, _, content in brought(step)}


def brought(step: Resource) -> Iterator[tuple[str, str, str]]:
    """Path, `owner mode` and content of each file; a plain text has none."""
    stdin = step.inputs["stdin"]
    for line in value(stdin).splitlines() if isinstance(stdin, Secret) else ():
        if line.startswith("/"):
            path, owner, mode, content = line.split()
            yield path, f"{owner} {mode}", b64decode(content).decode()


def dialled(step: Resource, graph: Graph) -> str:
    """The host that a step runs on, by the key that it must show."""
    connection = step.inputs["connection"]
    key = (connection.value if isinstance(connection, Secret) else connection)["hostKey"]
    return next(d.name for d in graph.of(":Droplet") if re.fullmatch(rf".* {d.name}-(host|bootstrap)", key))


LAB = [f"{pool}-{i}" for pool, count in (("etcd", 3), ("k8s-master", 3), ("k8s-node", 2)) for i in range(count)]
"""The lab's hosts."""
MASTERS, NODES = LAB[3:6], LAB[6:]
FAREWELLS = ("-removal", "-etcd-leave")
"""Steps that run before their host's droplet goes, on another host."""
ENDINGS = ("-uninstall-etcd", "-uninstall-control-plane", "-uninstall-node")
"""Steps that run when their host loses a role."""


def test_the_lab_has_exactly_its_members_masters_and_nodes(lab: Graph) -> None:
    assert names(lab.of(":Droplet")) == set(LAB)
    assert {r.inputs["name"] for r in lab.of(":Droplet")} >= {
        "etcd-0.lab.triplane.test",
        "k8s-master-2.lab.triplane.test",
    }


def test_prod_has_nodes_beside_members_and_masters() -> None:
    graph = graph_of("prod")
    assert len(graph.of(":Droplet")) == 9
    services = {r.name.removeprefix("k8s-node-2-") for r in graph.of(":Command") if r.name.startswith("k8s-node-2-")}
    assert {"flannel", "containerd", "kubelet", "kube-proxy", "registration"} <= services
    assert not {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} & services


def test_stacked_hosts_have_all_roles_and_their_services() -> None:
    graph = graph_of("dev")
    assert names(graph.of(":Droplet")) == {"k8s-0", "k8s-1", "k8s-2"}
    assert sorted(graph.named(":Droplet", "k8s-0").inputs["tags"]) == [
        "dev-etcd",
        "dev-kube-master",
        "dev-kube-node",
        "etcd",
        "kube-master",
        "kube-node",
    ]
    assert {"k8s-0-etcd", "k8s-0-kube-apiserver", "k8s-0-flannel", "k8s-0-kubelet"} <= names(graph.of(":Command"))


def test_every_service_runs_on_all_hosts_of_its_roles(lab: Graph) -> None:
    wanted = {
        f"{droplet.name}-{service.NAME}"
        for service in SERVICES
        for droplet in lab.of(":Droplet")
        if {*service.ROLES}.intersection(droplet.inputs["tags"])
    }
    assert wanted - names(lab.of(":Command")) == set()


def test_every_droplet_has_its_role_tag_and_the_cluster_role_tag(lab: Graph) -> None:
    assert lab.named(":Droplet", "etcd-1").inputs["tags"] == ["etcd", "lab-etcd"]
    assert lab.named(":Droplet", "k8s-master-1").inputs["tags"] == ["kube-master", "lab-kube-master"]


def test_every_resource_has_the_component_that_made_it_as_parent(graph: Graph) -> None:
    stack = "pulumi:pulumi:Stack"
    orphans = [
        r.urn for r in graph.resources if not r.type.startswith("triplane:") and r.parent.split("::")[2].endswith(stack)
    ]
    assert orphans == []


def test_no_two_resources_share_a_urn(graph: Graph) -> None:
    urns = [r.urn for r in graph.resources]
    assert len(urns) == len(set(urns))


def test_no_private_key_stands_outside_a_secret(graph: Graph) -> None:
    leaks = [
        (r.urn, text[:40])
        for r in graph.resources
        # What the tls provider is given it marks secret by itself: its schema says so.
        if not r.type.startswith("tls:")
        for text in texts(r.inputs)
        if PRIVATE_KEY.search(text)
    ]
    assert leaks == []
    outputs = {name: output for name, output in graph.outputs.items() if not isinstance(output, Secret)}
    assert not [text for text in texts(outputs) if PRIVATE_KEY.search(text)]


def test_tls_resources_declare_their_keys_secret(graph: Graph) -> None:
    for resource in graph.of(":PrivateKey"):
        assert {"privateKeyPem", "privateKeyOpenssh", "privateKeyPemPkcs8"} <= resource.secret_outputs, resource.name


def test_user_data_stdin_connection_and_kubeconfig_are_secrets(graph: Graph) -> None:
    for droplet in graph.of(":Droplet"):
        assert isinstance(droplet.inputs["userData"], Secret), droplet.name
    for step in graph.of(":Command"):
        assert isinstance(step.inputs["connection"], Secret) or isinstance(
            step.inputs["connection"]["privateKey"], Secret
        ), step.name
        stdin = step.inputs.get("stdin")
        assert stdin in (None, f"# droplet id-of-{dialled(step, graph)}\n") or isinstance(stdin, Secret), step.name
    assert isinstance(graph.outputs["kubeconfig"], Secret)
    assert isinstance(graph.outputs["deployKey"], Secret)


def test_a_droplet_has_these_properties_and_the_lab_takes_them(lab: Graph) -> None:
    inputs = lab.named(":Droplet", "etcd-0").inputs
    named = {"name", "region", "image", "size", "vpcUuid", "tags", "sshKeys", "userData"}
    assert set(inputs) == {*named, "gracefulShutdown"}
    stand_in = digitalocean.plugin().resource("digitalocean:index/droplet:Droplet")
    assert stand_in.validate({**inputs}) == []


def test_user_data_holds_only_the_one_time_key(lab: Graph) -> None:
    text = value(lab.named(":Droplet", "etcd-0").inputs["userData"])
    decoded = [b64decode(word).decode() for word in re.findall(r"content: ([A-Za-z0-9+/=]{40,})", text)]
    assert len(decoded) == 1
    assert "etcd-0-bootstrap" in decoded[0]


def test_every_connection_is_held_to_the_hosts_own_key(graph: Graph) -> None:
    for step in graph.of(":Command"):
        connection = step.inputs["connection"]
        connection = connection.value if isinstance(connection, Secret) else connection
        node = next(d.name for d in graph.of(":Droplet") if step.name.startswith(f"{d.name}-"))
        if step.name.endswith("-registration"):  # it asks the first master's API server about the node
            node = next(d.name for d in graph.of(":Droplet") if "kube-master" in d.inputs["tags"])
        if step.name.endswith(FAREWELLS):
            node = dialled(step, graph)
        key = "bootstrap" if step.name.endswith("-identity") else "host"
        assert connection["hostKey"] == f"ecdsa-sha2-nistp256 {node}-{key}", step.name


def test_only_farewells_delete_and_only_identities_are_replaced(graph: Graph) -> None:
    for step in graph.of(":Command"):
        assert "environment" not in step.inputs, step.name
        assert ("triggers" in step.inputs) == step.name.endswith("-identity"), step.name
        assert ("delete" in step.inputs) == step.name.endswith((*FAREWELLS, *ENDINGS)), step.name


def test_all_text_that_runs_on_hosts_is_known_in_a_preview(graph: Graph) -> None:
    for step in graph.of(":Command"):
        for text in (step.inputs.get("create", ""), step.inputs.get("delete", "")):
            assert isinstance(text, str), step.name
            assert "id-of-" not in text, step.name
            assert "address-of-" not in text, step.name


def test_what_a_host_needs_is_there_before_any_other_step_of_its(graph: Graph) -> None:
    for droplet in graph.of(":Droplet"):
        first = graph.named(":Command", f"{droplet.name}-host").urn
        for name in ("flannel", "containerd", "etcd", "kube-apiserver"):
            for step in (r for r in graph.of(":Command") if r.name == f"{droplet.name}-{name}"):
                assert first in graph.before(step), step.name


def test_every_firewall_is_there_before_any_droplet(graph: Graph) -> None:
    firewalls = {r.urn for r in graph.of(":Firewall")}
    for droplet in graph.of(":Droplet"):
        assert firewalls <= graph.before(droplet), droplet.name


def test_api_servers_wait_for_the_whole_etcd_cluster(graph: Graph) -> None:
    members = [r.urn for r in graph.of(":Command") if re.fullmatch(r".*-\d+-etcd", r.name)]
    first = next(r for r in graph.of(":Command") if r.name.endswith("-0-kube-apiserver") and "install" not in r.name)
    assert set(members) <= graph.before(first)


def test_the_api_name_lists_a_master_once_its_api_server_answers(lab: Graph) -> None:
    for kind in ("api", "api-internal"):
        for master in MASTERS[1:]:
            record = lab.named(":DnsRecord", f"{kind}-{master}")
            assert lab.waited(record, lab.named(":Command", f"{master}-kube-apiserver"))


def test_the_api_name_exists_before_the_first_host_needs_it(graph: Graph) -> None:
    first = next(d.name for d in graph.of(":Droplet") if "kube-master" in d.inputs["tags"])
    steps = {r.urn for r in graph.of(":Command") if "create" in r.inputs}
    for kind in ("api", "api-internal"):
        record = graph.named(":DnsRecord", f"{kind}-{first}")
        assert not steps & graph.before(record)
        assert record.urn in graph.before(graph.named(":Command", f"{first}-kubelet"))


def test_droplets_and_their_network_are_given_time_to_go(graph: Graph) -> None:
    for resource in (*graph.of(":Droplet"), *graph.of(":Vpc")):
        assert resource.delete_timeout == "10m", resource.name


def test_a_host_that_boots_is_dialled_for_minutes_by_every_step(graph: Graph) -> None:
    for step in graph.of(":Command"):
        connection = step.inputs["connection"]
        connection = connection.value if isinstance(connection, Secret) else connection
        assert connection["dialErrorLimit"] == 30, step.name


@pytest.mark.parametrize("default", [True, False])
def test_a_network_that_became_the_default_is_told_with_the_fix(
    default: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", told.append)
    monkeypatch.setitem(COMPUTED, "digitalocean:index/vpc:Vpc", lambda _name: {"default": default})
    graph_of.__wrapped__("lab")
    assert len(told) == default
    assert all("doctl vpcs create --name default-fra1 --region fra1" in line for line in told)


def test_printed_commands_log_in_with_a_key_they_say_how_to_get(graph: Graph) -> None:
    printed = graph.outputs["commands"]
    logins = [line for line in printed.values() if line.startswith("ssh ")]
    assert logins
    assert all(line.startswith("ssh -i deploy_key -o IdentitiesOnly=yes ") for line in logins)
    assert printed["deploy key"] == "(umask 077; pulumi stack output deployKey --show-secrets > deploy_key)"


def test_a_network_is_replaced_before_deletion_which_is_refused(graph: Graph) -> None:
    assert graph.named(":Vpc", "vpc").delete_before_replace is False


def test_every_host_has_a_public_and_a_private_name(lab: Graph) -> None:
    records = {(r.inputs["name"], r.inputs["content"]) for r in lab.of(":DnsRecord")}
    assert ("etcd-2.lab.triplane.test", "address-of-etcd-2") in records
    assert ("etcd-2.internal.lab.triplane.test", "private-address-of-etcd-2") in records
    assert {content for name, content in records if name == "api.lab.triplane.test"} == {
        f"address-of-k8s-master-{i}" for i in range(3)
    }
    assert all(
        r.inputs["ttl"] == 60 and r.inputs["proxied"] is False and r.delete_before_replace for r in lab.of(":DnsRecord")
    )


def test_etcd_trusts_three_authorities_for_three_things(lab: Graph) -> None:
    bundle = files(lab.named(":Command", "etcd-0-etcd"))
    assert bundle["/etc/etcd/pki/peer-ca.crt"] == "certificate etcd-peer-ca\n"
    assert bundle["/etc/etcd/pki/client-ca.crt"] == "certificate etcd-client-ca\n"
    assert bundle["/etc/etcd/pki/server-ca.crt"] == "certificate etcd-server-ca\n"


def test_no_leaf_outlives_its_authority(graph: Graph) -> None:
    authorities, leaves = graph.of(":SelfSignedCert"), graph.of(":LocallySignedCert")
    assert len(authorities) == 6
    longest = max(leaf.inputs["validityPeriodHours"] for leaf in leaves)
    for authority in authorities:
        assert longest < authority.inputs["earlyRenewalHours"] < authority.inputs["validityPeriodHours"]


def test_no_host_holds_a_ca_key_but_the_cluster_signing_one(graph: Graph) -> None:
    held = {
        (step.name, path)
        for step in graph.of(":Command")
        if "stdin" in step.inputs and not step.name.endswith("-identity")
        for path, content in files(step).items()
        if re.search(r"PRIVATE KEY-----\n[a-z-]+-ca\n", content)
    }
    assert {path for _, path in held} == {"/etc/kubernetes/controller-manager/cluster-signing-ca.key"}
    assert all(name.endswith("-kube-controller-manager") for name, _ in held)


def test_nodes_hold_only_what_flannel_kubelet_and_proxy_need() -> None:
    graph = graph_of("prod")
    elsewhere = ("-identity", "-registration", "-removal")  # the first for a moment, the others on a master
    steps = [r for r in graph.of(":Command") if r.name.startswith("k8s-node-0-") and not r.name.endswith(elsewhere)]
    held = {path for step in steps if "stdin" in step.inputs for path in files(step)}
    assert held == {
        *(f"/etc/flannel/pki/{name}" for name in ("etcd-server-ca.crt", "etcd-client.crt", "etcd-client.key")),
        *(f"/etc/kubernetes/kubelet/{name}" for name in ("ca.crt", "serving.crt", "serving.key")),
        "/etc/kubernetes/kubelet.kubeconfig",
        "/etc/kubernetes/kube-proxy.kubeconfig",
    }


def changed(before: Graph, after: Graph) -> set[str]:
    """Resources that a change of settings would touch."""
    old = {r.urn: r.inputs for r in before.resources}
    assert old.keys() == {r.urn for r in after.resources}
    return {r.name for r in after.resources if r.inputs != old[r.urn]}


@pytest.fixture(scope="module")
def flagged() -> Graph:
    """The lab's graph with a flag of each component, each with a value that no other has."""
    return graph_of("lab", extraFlags=json.dumps({name: {flag: value} for name, (flag, value, _) in FLAGS.items()}))


FLAGS = {
    "kube-apiserver": ("v", "5", MASTERS),
    "kube-controller-manager": ("v", "6", MASTERS),
    "kube-scheduler": ("v", "7", MASTERS),
    "flannel": ("v", "8", MASTERS + NODES),
    "etcd": ("snapshot-count", "20009", LAB[:3]),
}


def test_flags_touch_the_steps_of_their_components_alone(lab: Graph, flagged: Graph) -> None:
    assert changed(lab, flagged) == {f"{host}-{name}" for name, (_, _, hosts) in FLAGS.items() for host in hosts}


@pytest.mark.parametrize("component", FLAGS)
def test_a_flag_of_one_component_is_in_no_step_of_another(lab: Graph, flagged: Graph, component: str) -> None:
    _, value, hosts = FLAGS[component]
    written = re.compile(rf"(?:v|SNAPSHOT_COUNT)=[\"']?{value}\b")
    found = {step.name for step in flagged.of(":Command") if written.search(step.inputs.get("create", ""))}
    assert found == {f"{host}-{component}" for host in hosts}


def test_another_kubernetes_version_touches_kubernetes_alone() -> None:
    after = graph_of("lab", versions='{"kubernetes": "1.36.3"}')
    on_masters = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    installed = {
        *((host, name) for host in MASTERS for name in on_masters),
        *((host, name) for host in MASTERS + NODES for name in ("kubelet", "kube-proxy")),
    }
    assert changed(graph_of("lab"), after) == {
        *(f"{host}-{prefix}{name}" for host, name in installed for prefix in ("", "install-")),
        "k8s-master-0-install-kubectl",
        "k8s-master-1-install-kubectl",
    }


def test_another_containerd_touches_its_steps_alone() -> None:
    touched = {f"{host}-{prefix}containerd" for host in MASTERS + NODES for prefix in ("", "install-")}
    assert changed(graph_of("lab"), graph_of("lab", versions='{"containerd": "2.2.4"}')) == touched


def test_a_new_ssh_authority_rebuilds_no_host() -> None:
    key = '"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN4oJmFYZxjDSFbDhTGXQ0IZMkkKVkLzRGKqqvLmZV0c people"'
    assert changed(graph_of("lab"), graph_of("lab", sshCaPublicKey=key)) == {f"{host}-host" for host in LAB}


def test_opened_ports_change_only_the_firewalls(lab: Graph) -> None:
    opened = graph_of(
        "lab",
        ingressPorts='[{"ports": 443, "ranges": ["0.0.0.0/0"]}]',
        icmpAllowed='["203.0.113.0/24"]',
        outboundAllowed='[{"protocol": "udp", "ports": "all", "ranges": ["10.0.0.0/8"]}, '
        '{"protocol": "icmp", "ranges": ["0.0.0.0/0"]}]',
        nodesReachKubelets="true",
    )
    before, after = ({r.name: r.inputs for r in graph.of(":Firewall")} for graph in (lab, opened))
    nodes, masters = "lab-kube-node", "lab-kube-master"
    assert after.pop("firewall-ingress") == {
        "name": "lab-ingress",
        "tags": [nodes],
        "inboundRules": [{"protocol": "tcp", "portRange": "443", "sourceAddresses": ["0.0.0.0/0"]}],
    }

    def added(way: str) -> dict[str, list[object]]:
        found = {name: [rule for rule in after[name][way] if rule not in before[name][way]] for name in before}
        return {name: rules for name, rules in found.items() if rules}

    assert added("inboundRules") == {
        "firewall-hosts": [{"protocol": "icmp", "sourceAddresses": ["203.0.113.0/24"]}],
        "firewall-nodes": [{"protocol": "tcp", "portRange": "10250", "sourceTags": [masters, nodes]}],
    }
    assert added("outboundRules") == {
        "firewall-hosts": [
            {"protocol": "udp", "portRange": "all", "destinationAddresses": ["10.0.0.0/8"]},
            {"protocol": "icmp", "destinationAddresses": ["0.0.0.0/0"]},
        ],
        "firewall-nodes": [{"protocol": "tcp", "portRange": "10250", "destinationTags": [masters, nodes]}],
    }
    assert len(opened.resources) == len(lab.resources) + 1
