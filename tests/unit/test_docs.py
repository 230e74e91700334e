"""The documents say what the code does: ports, certificates, commands, and links that lead somewhere."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from launcher.cli import app
from model import ports
from model.certificates import Leaf
from model.firewalls import ANYWHERE, Allow, firewalls
from model.ports import ICMP, Port
from model.roles import Role
from model.services.registry import leaves
from model.topology import Topology
from tests.documents import ROOT, read, table
from tests.unit.rendered import CLUSTER, Pool

SECURITY = "docs/security.md"
SSH_ALLOWED, API_ALLOWED = IPv4Network("192.0.2.0/24"), IPv4Network("198.51.100.0/24")
NODE_PORTS_ALLOWED = IPv4Network("203.0.113.0/24")
ICMP_ALLOWED = IPv4Network("198.18.0.0/24")
INGRESS = Allow(port=Port(number=1), ranges=(IPv4Network("198.18.1.0/24"),))
OUTBOUND = Allow(port=Port(number=2), ranges=(IPv4Network("198.18.2.0/24"),))
"""An entry each of the settings that open ports of the reader's own choice."""
RANGES = {
    SSH_ALLOWED: "`sshAllowed`",
    API_ALLOWED: "`apiAllowed`",
    NODE_PORTS_ALLOWED: "`nodePortsAllowed`",
    ICMP_ALLOWED: "`icmpAllowed`",
    INGRESS.ranges[0]: "`ingressPorts`",
    OUTBOUND.ranges[0]: "`outboundAllowed`",
    ANYWHERE[0]: "anywhere",
}
API_PORT = 6443
PORT_NAMES = {
    port: name.lower().removesuffix(f"_{port.protocol}").replace("_", " ")
    for name, port in vars(ports).items()
    if isinstance(port, Port)
} | {Port(number=API_PORT): "api"}


TOPOLOGY = Topology.of(
    cluster="C",
    domain="DOMAIN",
    pools=[
        Pool("etcd", (Role.ETCD,), count=1),
        Pool("k8s-master", (Role.KUBE_MASTER,), count=1),
        Pool("k8s-node", (Role.KUBE_NODE,), count=1),
    ],
)


def documents() -> list[str]:
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in tracked.stdout.splitlines() if (ROOT / name).exists()]


DOCUMENTS = documents()


def allowance(allow: Allow) -> tuple[str, str]:
    """A port, and who is at its other end."""
    peers = [*(RANGES[network] for network in allow.ranges), *map(str, allow.roles)]
    if allow.port == ICMP:
        return "icmp", ", ".join(peers)
    if allow in (INGRESS, OUTBOUND):
        return peers[0], peers[0]
    assert isinstance(allow.port, Port)
    return f"{allow.port.range}/{allow.port.protocol} {PORT_NAMES[allow.port]}", ", ".join(peers)


def port_rows() -> Iterator[list[str]]:
    for firewall in firewalls(
        api_port=API_PORT,
        ssh_allowed=[SSH_ALLOWED],
        api_allowed=[API_ALLOWED],
        node_ports_allowed=[NODE_PORTS_ALLOWED],
        ingress=[INGRESS],
        icmp_allowed=[ICMP_ALLOWED],
        outbound=[OUTBOUND],
        mirror=None,
    ):
        for way, allows in (("in", firewall.inbound), ("out", firewall.outbound)):
            for allow in allows:
                yield [f"`{firewall.name}`", ", ".join(firewall.roles), way, *allowance(allow)]


def anywhere(text: str) -> str:
    """The same on every host of a kind."""
    for node in TOPOLOGY.hosts:
        text = text.replace(node.name, "HOST")
    return text


def certificate_row(leaf: Leaf) -> list[str]:
    subject = leaf.common_name + (f", group {leaf.organization}" if leaf.organization else "")
    names = [*leaf.dns_names, *map(str, leaf.addresses)]
    good_for = {"client_auth": "client", "server_auth": "server"}
    return [
        f"`{anywhere(leaf.name)}`",
        leaf.authority,
        f"`{anywhere(subject)}`",
        ", ".join(f"`{anywhere(name)}`" for name in names) or "none",
        ", ".join(good_for[use] for use in leaf.uses if use in good_for),
    ]


def unique(rows: Iterable[list[str]]) -> list[list[str]]:
    return [list(row) for row in dict.fromkeys(map(tuple, rows))]


def test_the_table_of_ports_is_the_codes() -> None:
    assert table(SECURITY, "Firewall") == list(port_rows())


def test_the_table_of_certificates_is_the_codes() -> None:
    rows = unique(certificate_row(leaf) for leaf in leaves(replace(CLUSTER, topology=TOPOLOGY)))
    assert table(SECURITY, "Certificate") == rows


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", read(name)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = (ROOT / name).parent / path if path else ROOT / name
        assert found.exists(), target
        if anchor:
            assert anchor in {slug(heading) for heading in headings(found)}, target


def headings(path: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)


def slug(heading: str) -> str:
    """As GitHub makes anchors."""
    return re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")


def test_documents_name_only_real_commands_and_the_readme_all() -> None:
    commands = {
        command.name or str(command.callback.__name__) for command in app.registered_commands if command.callback
    }
    commands |= {str(group.name) for group in app.registered_groups}
    named = {name: set(re.findall(r"\./triplane ([a-z]+)", read(name))) for name in DOCUMENTS}
    assert {name: unknown for name, words in named.items() if (unknown := words - commands)} == {}
    assert commands <= named["README.md"]


def test_every_file_or_folder_that_is_named_in_code_marks_exists() -> None:
    roots = ("assets", "components", "docs", "doctor", "lab", "launcher", "model", "policy", "tests")
    for name in DOCUMENTS:
        for word in re.findall(rf"`((?:{'|'.join(roots)})/[A-Za-z0-9_./-]*)`", read(name)):
            assert (ROOT / word).exists(), f"{name}: {word}"
