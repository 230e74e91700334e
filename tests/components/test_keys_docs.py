"""The document about security says where every private key is, and is held to what the graph brings to hosts."""

from __future__ import annotations

import re
from base64 import b64decode
from collections import defaultdict

from tests.components.graph import SMALL, Graph, graph_of
from tests.components.test_graph import brought, value
from tests.documents import table

STATE = "in no file: the state alone"
HOST_KEY = "`/etc/ssh/ssh_host_ecdsa_key` root:root 600"
DOOR_KEY = "`/etc/ssh/ssh_bootstrap_key` root:root 600, until the `host` step has run"
PASSING = "`/run/triplane/STEP.kubeconfig` root:root 600, while the step runs on a master"
ENCRYPTION = "`/etc/kubernetes/encryption.yaml` root:root 600 (what is derived from it)"


def places(graph: Graph) -> dict[str, set[str]]:
    """Key → files on hosts, by what steps get on their stdin; `HOST` stands for any host's name."""
    hosts = sorted((droplet.name for droplet in graph.of(":Droplet")), key=len, reverse=True)

    def anywhere(name: str) -> str:
        return re.sub("|".join(hosts), "HOST", name)

    found: dict[str, set[str]] = defaultdict(set)
    for key in graph.of(":PrivateKey"):
        found[anywhere(key.name)] |= set()
    for step in graph.of(":Command"):
        if "stdin" not in step.inputs:
            continue
        if step.name.endswith("-identity"):
            assert f"{step.name.removesuffix('-identity')}-host" in value(step.inputs["stdin"])
            found["HOST-host"].add(HOST_KEY)
            continue
        for path, rights, written in brought(step):
            content = written
            content += "".join(b64decode(key).decode() for key in re.findall(r"client-key-data: (\S+)", content))
            passing = re.fullmatch(r"/run/triplane/[^/]+\.kubeconfig", path)
            for key in re.findall(r"PRIVATE KEY-----\n(\S+)\n", content):
                found[anywhere(key)].add(PASSING if passing else f"`{path}` {rights}")
            if "EncryptionConfiguration" in content:
                for name in re.findall(r"- name: (\S+)", content):
                    found[f"encryption-{name}"].add(f"`{path}` {rights} (what is derived from it)")
    assert all("ssh_bootstrap_key" in value(droplet.inputs["userData"]) for droplet in graph.of(":Droplet"))
    found["HOST-bootstrap"].add(DOOR_KEY)
    return found


def test_the_table_of_keys_is_the_graphs(lab: Graph) -> None:
    documented = {key.strip("`"): where for key, _, where in table("docs/security.md", "Key")}
    assert documented == {key: "; ".join(sorted(files)) or STATE for key, files in places(lab).items()}


def test_a_second_encryption_key_stands_where_the_first_does() -> None:
    graph = graph_of("lab", pools=SMALL, encryptionKeys='["key2", "key1"]')
    assert places(graph)["encryption-key1"] == places(graph)["encryption-key2"] == {ENCRYPTION}
