"""Each rule by itself: what it lets pass, and what it says of what it does not."""

from __future__ import annotations

import re
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from policy.firewalls import CLOSED_PORTS
from policy.resource import UNKNOWN, Intent, Resource, Secret
from policy.rules import RULES, STACK_RULES, violations

TYPES = {
    "firewall": "digitalocean:index/firewall:Firewall",
    "droplet": "digitalocean:index/droplet:Droplet",
    "record": "cloudflare:index/dnsRecord:DnsRecord",
    "key": "tls:index/privateKey:PrivateKey",
    "authority": "tls:index/selfSignedCert:SelfSignedCert",
    "leaf": "tls:index/locallySignedCert:LocallySignedCert",
    "request": "tls:index/certRequest:CertRequest",
    "command": "command:remote:Command",
}
PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----\n"
OPENSSH = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----\n"
TOKEN = "dop_v1_" + "0123456789abcdef" * 4

RIGHT: dict[str, dict[str, Any]] = {
    "firewall": {
        "tags": ["lab-etcd"],
        "inboundRules": [
            {"protocol": "tcp", "portRange": "22", "sourceAddresses": ["203.0.113.7/32"]},
            {"protocol": "tcp", "portRange": "2379-2380", "sourceTags": ["lab-etcd"]},
        ],
        "outboundRules": [{"protocol": "udp", "portRange": "53", "destinationAddresses": ["0.0.0.0/0"]}],
    },
    "droplet": {
        "vpcUuid": "506f78a4-e098-11e5-ad9f-000f53306ae1",
        "tags": ["etcd", "lab-etcd"],
        "userData": Secret(f"#cloud-config\nwrite_files:\n  - content: {b64encode(OPENSSH.encode()).decode()}\n"),
    },
    "record": {"proxied": False, "ttl": 60, "type": "A"},
    "key": {"algorithm": "ECDSA", "ecdsaCurve": "P256"},
    "authority": {
        "isCaCertificate": True,
        "setSubjectKeyId": True,
        "allowedUses": ["cert_signing", "crl_signing", "digital_signature"],
        "privateKeyPem": Secret(PEM),
    },
    "leaf": {
        "allowedUses": ["digital_signature", "client_auth"],
        "validityPeriodHours": 8760,
        "earlyRenewalHours": 2880,
        "caPrivateKeyPem": Secret(PEM),
    },
    "request": {
        "subject": {"commonName": "system:node:k8s-node-0.internal.k8s.example.com", "organization": "system:nodes"},
        "privateKeyPem": Secret(PEM),
    },
    "command": {
        "create": f"systemctl restart etcd\n  image: registry.k8s.io/pause@sha256:{'0' * 64}\n",
        "stdin": Secret(PEM),
        "connection": {"hostKey": "ecdsa-sha2-nistp256 AAAA", "privateKey": Secret(OPENSSH)},
        "addPreviousOutputInEnv": False,
    },
}


def resource(kind: str, *, name: str = "it", ignore_changes: tuple[str, ...] = (), **changes: Any) -> Resource:
    properties = {key: value for key, value in (RIGHT[kind] | changes).items() if value is not None}
    return Resource(type=TYPES[kind], name=name, properties=properties, ignore_changes=ignore_changes)


def found(*resources: Resource, world_ssh: bool = False, **more: object) -> list[str]:
    asked = {
        "allowWorldSsh": world_ssh,
        "nodePortsAllowed": ["203.0.113.0/24"],
        "ingressPorts": [{"ports": 443, "ranges": ["0.0.0.0/0"]}],
        "icmpAllowed": ["203.0.113.0/24"],
    }
    return list(violations(resources, Intent.of((asked | more).get)))


def inbound(port: str, *, protocol: str = "tcp", **peers: Any) -> dict[str, Any]:
    return {"inboundRules": [{"protocol": protocol, "portRange": port, **peers}]}


WORLD: dict[str, Any] = {"sourceAddresses": ["0.0.0.0/0"]}
# What is wrong, the resource, the rule that it breaks, and how the rule says so.
WRONG = [
    (
        "ssh open to the world",
        resource("firewall", **inbound("22", **WORLD)),
        "ssh-not-for-the-world",
        "opens SSH to 0.0.0.0/0",
    ),
    (
        "the first connection's door open to the world",
        resource("firewall", **inbound("2222", **WORLD)),
        "ssh-not-for-the-world",
        "opens SSH to 0.0.0.0/0",
    ),
    (
        "ssh open to half the world",
        resource("firewall", **inbound("20-30", sourceAddresses=["10.0.0.0/8", "128.0.0.0/1"])),
        "ssh-not-for-the-world",
        "opens SSH to 128.0.0.0/1",
    ),
    (
        "ssh open to the world over IPv6",
        resource("firewall", **inbound("22", sourceAddresses=["::/0"])),
        "ssh-not-for-the-world",
        "opens SSH to ::/0",
    ),
    (
        "etcd open to an address range",
        resource("firewall", **inbound("2379", sourceAddresses=["10.240.0.0/20"])),
        "cluster-ports-by-tag",
        "opens 2379 to 10.240.0.0/20",
    ),
    (
        "etcd's peer port in a range that is open to the office",
        resource("firewall", **inbound("2000-3000", sourceAddresses=["203.0.113.0/24"], sourceTags=["lab-etcd"])),
        "cluster-ports-by-tag",
        "opens 2379, 2380, 2381, 2382 to 203.0.113.0/24",
    ),
    (
        "etcd open to nobody named",
        resource("firewall", **inbound("2380")),
        "cluster-ports-by-tag",
        "opens 2380 to nobody that it names",
    ),
    (
        "kubelets open to the office",
        resource("firewall", **inbound("10250", sourceAddresses=["203.0.113.0/24"])),
        "cluster-ports-by-tag",
        "opens 10250 to 203.0.113.0/24",
    ),
    (
        "kubelets open to each other",
        resource("firewall", **inbound("10000-11000", sourceTags=["lab-kube-master", "lab-kube-node"])),
        "kubelets-for-masters",
        "opens the kubelets' port to lab-kube-node",
    ),
    (
        "node ports open to nobody that the settings name",
        resource("firewall", **inbound("30000-32767", sourceAddresses=["203.0.113.0/24", "198.51.100.0/23"])),
        "node-ports-as-asked",
        "opens NodePorts to 198.51.100.0/23",
    ),
    (
        "one node port open to the world over IPv6",
        resource("firewall", **inbound("30080", sourceAddresses=["::/0"])),
        "node-ports-as-asked",
        "opens NodePorts to ::/0",
    ),
    (
        "a firewall for every cluster's etcd",
        resource("firewall", tags=["etcd"]),
        "firewalls-by-scoped-tag",
        "selects by etcd in tags",
    ),
    (
        "a port open to every cluster's masters",
        resource("firewall", **inbound("2379", sourceTags=["lab-etcd", "kube-master"])),
        "firewalls-by-scoped-tag",
        "selects by kube-master in sourceTags",
    ),
    ("a firewall on single droplets", resource("firewall", tags=[]), "firewalls-by-scoped-tag", "is on no tag"),
    (
        "every inbound port",
        resource("firewall", **inbound("all", sourceTags=["lab-etcd"])),
        "ports-are-named",
        "lets every tcp port through in inboundRules",
    ),
    (
        "every outbound port",
        resource(
            "firewall",
            outboundRules=[{"protocol": "tcp", "portRange": "1-65535", "destinationAddresses": ["0.0.0.0/0"]}],
        ),
        "outbound-as-asked",
        "lets every tcp port through in outboundRules",
    ),
    (
        "a port open to somebody whom no setting names",
        resource("firewall", **inbound("80", sourceAddresses=["198.51.100.0/24"])),
        "open-as-asked",
        "opens 80/tcp to 198.51.100.0/24, whom triplane:ingressPorts does not name",
    ),
    (
        "a port beside one that is asked for",
        resource("firewall", **inbound("443-444", **WORLD)),
        "open-as-asked",
        "opens 443-444/tcp to 0.0.0.0/0",
    ),
    (
        "the asked port by another protocol",
        resource("firewall", **inbound("443", protocol="udp", **WORLD)),
        "open-as-asked",
        "opens 443/udp to 0.0.0.0/0",
    ),
    (
        "pings from the world",
        resource("firewall", inboundRules=[{"protocol": "icmp", **WORLD}]),
        "open-as-asked",
        "opens icmp to 0.0.0.0/0, whom triplane:icmpAllowed does not name",
    ),
    (
        "a droplet in the shared network",
        resource("droplet", vpcUuid=None),
        "droplets-in-their-place",
        "is in no VPC of its own",
    ),
    ("a droplet without a role", resource("droplet", tags=["lab"]), "droplets-in-their-place", "has no role's tag"),
    (
        "a droplet without the cluster's own tag",
        resource("droplet", tags=["etcd", "lab-etcd", "kube-node"]),
        "droplets-in-their-place",
        "has the tag kube-node, but not the cluster's own",
    ),
    (
        "a private key in user data",
        resource("droplet", userData=Secret(f"#cloud-config\n# {PEM}")),
        "user-data-without-secrets",
        "has a ec private key in its user data",
    ),
    (
        "a second key in user data, in base64",
        resource("droplet", userData=Secret(2 * f"- {b64encode(OPENSSH.encode()).decode()}\n")),
        "user-data-without-secrets",
        "has a openssh private key in its user data",
    ),
    (
        "a token in user data",
        resource("droplet", userData=Secret(f"doctl auth init -t {TOKEN}")),
        "user-data-without-secrets",
        "has a token in its user data",
    ),
    (
        "a record behind the proxy",
        resource("record", proxied=True),
        "records-for-machines",
        "is not set to bypass Cloudflare's proxy",
    ),
    ("a record that expires too soon", resource("record", ttl=5), "records-for-machines", "has a ttl of 5"),
    (
        "a key on the provider's default curve",
        resource("key", ecdsaCurve=None),
        "keys-go-can-use",
        "is on the curve P224 (the default)",
    ),
    ("an RSA key", resource("key", algorithm="RSA"), "keys-go-can-use", "is a key of the kind RSA"),
    (
        "a self-signed certificate that is not an authority",
        resource("authority", isCaCertificate=None),
        "authorities-only-sign",
        "is self-signed and no authority",
    ),
    (
        "an authority that may not sign",
        resource("authority", allowedUses=["digital_signature"]),
        "authorities-only-sign",
        "is an authority that may not sign",
    ),
    (
        "an authority that can serve",
        resource("authority", allowedUses=["cert_signing", "server_auth"]),
        "authorities-only-sign",
        "is an authority that may also be a server_auth certificate",
    ),
    (
        "an authority without a key id",
        resource("authority", setSubjectKeyId=None),
        "authorities-only-sign",
        "has no subject key id, by which its leaves find it",
    ),
    (
        "a leaf that may sign",
        resource("leaf", allowedUses=["client_auth", "cert_signing"]),
        "leaves-do-one-thing",
        "is a leaf that may sign others",
    ),
    (
        "a leaf for nothing in particular",
        resource("leaf", allowedUses=["digital_signature"]),
        "leaves-do-one-thing",
        "is neither for servers nor for clients",
    ),
    (
        "a client certificate that can serve",
        resource("leaf", allowedUses=["client_auth", "server_auth"]),
        "leaves-do-one-thing",
        "is for servers and for clients at once, as only etcd's peers are",
    ),
    (
        "a leaf that no update renews",
        resource("leaf", earlyRenewalHours=None),
        "leaves-do-one-thing",
        "is renewed 0 hours before its 8760 are over",
    ),
    (
        "a leaf that every update renews",
        resource("leaf", earlyRenewalHours=8760),
        "leaves-do-one-thing",
        "is renewed 8760 hours before its 8760 are over",
    ),
    (
        "a kubelet that may do everything",
        resource("request", subject={"commonName": "kubelet", "organization": "system:masters"}),
        "groups-as-narrow-as-can-be",
        "makes kubelet one of system:masters",
    ),
    (
        "a node without its group",
        resource("request", subject={"commonName": "system:node:a"}),
        "groups-as-narrow-as-can-be",
        "is system:node:a in the group None",
    ),
    (
        "somebody else among the nodes",
        resource("request", subject={"commonName": "system:kube-proxy", "organization": "system:nodes"}),
        "groups-as-narrow-as-can-be",
        "is system:kube-proxy in the group system:nodes",
    ),
    (
        "an image by its tag in a manifest",
        resource("command", create="kubectl apply <<'.'\n  - image: registry.k8s.io/coredns/coredns:v1.14.6\n.\n"),
        "images-by-digest",
        "runs the image registry.k8s.io/coredns/coredns:v1.14.6,",
    ),
    (
        "a sandbox's image by its tag",
        resource("command", create='sandbox = "registry.k8s.io/pause:3.10"\n'),
        "images-by-digest",
        "runs the image registry.k8s.io/pause:3.10,",
    ),
    (
        "a host whose key is not checked",
        resource("command", connection={"host": "198.18.0.10"}),
        "known-hosts-only",
        "connects without knowing the host's key",
    ),
    (
        "a password",
        resource("command", connection={"hostKey": "ssh-ed25519 AAAA", "password": Secret("hunter2")}),
        "known-hosts-only",
        "connects with a password",
    ),
    (
        "a private key in a script",
        resource("command", create=Secret(f"cat >key <<EOF\n{PEM}EOF")),
        "secrets-on-stdin",
        "has a ec private key in create",
    ),
    (
        "a token in the environment",
        resource("command", environment=Secret({"TOKEN": TOKEN})),
        "secrets-on-stdin",
        "has a token in environment",
    ),
    (
        "a delete that runs after its replacement",
        resource("command", triggers=["1"], delete="rm -r /etc/etcd"),
        "commands-that-last",
        "has triggers and delete",
    ),
    (
        "output handed on through the environment",
        resource("command", addPreviousOutputInEnv=None),
        "commands-that-last",
        "puts its last output into the environment",
    ),
    (
        "a private key in plain state",
        resource("command", stdin=PEM),
        "credentials-are-secret",
        "has a ec private key in stdin",
    ),
    (
        "user data with a key in plain state",
        resource("droplet", userData=b64encode(OPENSSH.encode()).decode()),
        "credentials-are-secret",
        "has a openssh private key in userData",
    ),
]


@pytest.mark.parametrize(("wrong", "rule", "words"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_rule_tells_what_is_wrong(wrong: Resource, rule: str, words: str) -> None:
    [violation] = [each for each in found(wrong) if f"({rule})" in each]
    assert violation.startswith(f"it ({rule}) {words}")
    assert violation.endswith(".")


@pytest.mark.parametrize("kind", RIGHT)
def test_what_is_right_passes_every_rule(kind: str) -> None:
    assert found(resource(kind)) == []


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_every_rule_has_a_row_above(rule: str) -> None:
    assert rule in {row[2] for row in WRONG}


def test_the_documents_have_every_rule_as_it_describes_itself() -> None:
    text = (Path(__file__).parents[2] / "docs" / "policies.md").read_text()
    documented = re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", text, re.MULTILINE)
    assert documented == [(rule.name, rule.description) for rule in (*RULES, *STACK_RULES)]


def test_the_world_may_reach_ssh_where_the_stack_asks_for_it() -> None:
    assert found(resource("firewall", **inbound("22", **WORLD)), world_ssh=True) == []


def test_every_port_of_hosts_is_closed_but_ssh_and_node_ports() -> None:
    assert {2379, 2380, 8472, 10250, 10256, 10257, 10259} <= CLOSED_PORTS
    assert not {22, 2222, 30000} & CLOSED_PORTS


def test_the_ssh_rule_ignores_other_ports_and_private_ranges() -> None:
    assert found(resource("firewall", **inbound("6443", **WORLD))) == []
    assert found(resource("firewall", **inbound("22", sourceAddresses=["10.0.0.0/8"]))) == []
    assert found(resource("firewall", **inbound("", protocol="icmp", sourceAddresses=["203.0.113.0/24"]))) == []


def test_what_a_preview_does_not_know_yet_is_not_wrong() -> None:
    unknown = {"protocol": "tcp", "portRange": UNKNOWN, "sourceAddresses": UNKNOWN}
    resources = [
        resource("firewall", tags=UNKNOWN, inboundRules=[unknown], outboundRules=UNKNOWN),
        resource("firewall", tags=[UNKNOWN], inboundRules=[{**unknown, "sourceAddresses": [UNKNOWN]}]),
        resource("droplet", vpcUuid=UNKNOWN, tags=[UNKNOWN], userData=UNKNOWN),
        resource("record", ttl=UNKNOWN),
        resource("leaf", validityPeriodHours=UNKNOWN),
        resource("command", create=UNKNOWN, stdin=UNKNOWN, connection={"hostKey": UNKNOWN, "privateKey": UNKNOWN}),
        resource("command", connection=UNKNOWN),
    ]
    assert found(*resources) == []


def test_a_create_only_command_needs_no_previous_output_setting() -> None:
    assert found(resource("command", addPreviousOutputInEnv=None, ignore_changes=("create", "stdin"))) == []


def test_a_violation_shows_no_part_of_the_secret() -> None:
    violations_of_all = found(
        resource("command", create=PEM, stdin=None),
        resource("command", environment={"TOKEN": TOKEN}),
        resource("droplet", userData=PEM),
    )
    assert len(violations_of_all) >= 3
    assert not any("MHcCAQEE" in line or TOKEN[-16:] in line for line in violations_of_all)


# --- etcd's trust domains ---------------------------------------------------------------------------------------------


def leaf(name: str, authority: str, *uses: str) -> Resource:
    return resource("leaf", name=name, caCertPem=authority, allowedUses=list(uses))


PEER = leaf("etcd-peer-etcd-0", "peer CA", "client_auth", "server_auth")
SERVER = leaf("etcd-server-etcd-0", "server CA", "server_auth")
CLIENT = leaf("apiserver-etcd-client-k8s-master-0", "client CA", "client_auth")
CONTROL = leaf("etcdctl-etcd-0", "client CA", "client_auth")
ADMIN = leaf("admin", "kubernetes CA", "client_auth")


def test_three_etcd_cas_and_one_kubernetes_ca_are_correct() -> None:
    assert found(PEER, SERVER, CLIENT, CONTROL, ADMIN) == []


@pytest.mark.parametrize(
    ("stray", "wronged"),
    [
        (leaf("apiserver-etcd-client-k8s-master-0", "peer CA", "client_auth"), {"clients", "peers"}),
        (leaf("etcd-server-etcd-0", "peer CA", "server_auth"), {"servers", "peers"}),
        (leaf("etcd-server-etcd-0", "client CA", "server_auth"), {"servers", "clients"}),
        (leaf("admin", "client CA", "client_auth"), {"clients"}),
        (leaf("apiserver-k8s-master-0", "server CA", "server_auth"), {"servers"}),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_certificate_in_another_trust_domain_is_found(stray: Resource, wronged: set[str]) -> None:
    lines = [line for line in found(PEER, SERVER, CONTROL, stray) if "(etcd-trust-domains)" in line]
    assert lines
    assert {line.split("is one of etcd's ")[1].split(",")[0] for line in lines} == wronged


# --- masters that no other pod shall run on ---------------------------------------------------------------------------


def registered(host: str, script: str) -> Resource:
    return resource("command", name=f"{host}-registration", create=script)


MASTER = resource("droplet", name="m-0", tags=["kube-master", "lab-kube-master"])
STACKED = resource("droplet", name="s-0", tags=["kube-master", "kube-node", "lab-kube-master", "lab-kube-node"])
TAINT = "kubectl taint node m-0 node-role.kubernetes.io/control-plane:NoSchedule"


def test_tainted_masters_and_untainted_stacked_ones_are_correct() -> None:
    assert found(MASTER, registered("m-0", TAINT), STACKED, registered("s-0", "kubectl get nodes")) == []


@pytest.mark.parametrize("script", ["kubectl get nodes", None])
def test_a_master_that_any_pod_may_run_on_is_found(script: str | None) -> None:
    others = [registered("m-0", script)] if script else []
    [line] = found(MASTER, *others)
    assert line.startswith(
        "m-0 (masters-kept-free) is a master without the taint node-role.kubernetes.io/control-plane"
    )


def test_what_the_settings_ask_for_is_let_through() -> None:
    every = [{"protocol": "tcp", "portRange": "all", "destinationAddresses": ["10.0.0.0/8"]}]
    kubelets = inbound("10250", sourceTags=["lab-kube-master", "lab-kube-node"])
    assert found(resource("firewall", **inbound("443", **WORLD))) == []
    assert found(resource("firewall", **inbound("6443", **WORLD))) == []
    assert found(resource("firewall", **inbound("7443", **WORLD)), apiPort=7443) == []
    assert found(resource("firewall", inboundRules=[{"protocol": "icmp", "sourceAddresses": ["203.0.113.7/32"]}])) == []
    assert found(resource("firewall", **kubelets), nodesReachKubelets=True) == []
    for ports in ("all", "1-65535"):
        way = {"ports": ports, "ranges": ["10.0.0.0/8"]}
        assert found(resource("firewall", outboundRules=every), outboundAllowed=[way]) == []
    assert found(
        resource("firewall", outboundRules=every), outboundAllowed=[{"ports": "all", "ranges": ["10.0.0.0/16"]}]
    )


def test_no_setting_lets_kubelets_be_asked_by_members_of_etcd() -> None:
    rule = inbound("10250", sourceTags=["lab-kube-node", "lab-etcd"])
    [message] = found(resource("firewall", **rule), nodesReachKubelets=True)
    assert "opens the kubelets' port to lab-etcd" in message
