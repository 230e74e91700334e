"""The cluster, as its own API shows it: the nodes, their pods, and the cluster's DNS."""

from __future__ import annotations

import base64
import binascii
import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.message
import dns.rcode

from launcher.access import HostOutput
from launcher.errors import LauncherError
from model.certificates import CLUSTER_DOMAIN
from model.roles import LABEL_PREFIX
from model.services import kubelet
from model.topology import KUBELET_ROLES

QUESTION = dns.message.make_query(f"kubernetes.default.svc.{CLUSTER_DOMAIN}", "A")
"""DNS query for a service that every cluster has."""

DNS_PROBE = rf"""
server=$(sed -n '/^clusterDNS:/{{n;s/^[ "-]*//;s/".*//;p}}' {kubelet.CONFIGURATION} 2>/dev/null)
answer=$(exec 3<>"/dev/udp/$server/53" && printf %s {base64.b64encode(QUESTION.to_wire()).decode()} | base64 -d >&3 &&
  timeout 4 dd bs=512 count=1 <&3 2>/dev/null | base64 -w 0) 2>/dev/null
echo "cluster-dns ${{answer:--}}"
"""
"""Bash script that asks the DNS server of a host's pods; it prints `cluster-dns`, and the answer in base64 or -."""

_PRESSURE = frozenset({"MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"})
"""Conditions of a node that are a problem if they are true (kubernetes.io, Node Status)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A node in the API."""

    name: str
    host: str
    """The graph's host of this name; empty if there is none."""
    trouble: str = ""
    """Reason why it is not ready, or another problem."""
    cordoned: bool = False
    roles: tuple[str, ...] = ()
    taints: tuple[str, ...] = ()
    version: str = ""
    pods: Mapping[str, int]
    """Phase → pods on it."""

    @property
    def state(self) -> str:
        """State in a few words, as in `kubectl get nodes`."""
        return (self.trouble or "Ready") + (", cordoned" if self.cordoned else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """The API's answer, or the reason why there is none."""

    trouble: str = ""
    nodes: tuple[Node, ...] = ()
    dns_ready: int = 0
    dns_wanted: int = 0

    @property
    def dns_well(self) -> bool:
        """True if DNS has all its replicas; during a rollout it has more."""
        return 0 < self.dns_wanted <= self.dns_ready

    @property
    def well(self) -> bool:
        """True if every host is a ready node, every node is a host, and DNS has all its replicas."""
        return not self.trouble and not any(node.trouble for node in self.nodes) and self.dns_well


def parse_dns(output: str) -> str | None:
    """Read the output of `DNS_PROBE`: empty if the name resolves, else the reason; None if there was no query."""
    for line in output.splitlines():
        match line.split():
            case ["cluster-dns", "-"]:
                return "no answer"
            case ["cluster-dns", answer]:
                try:
                    record = dns.message.from_wire(base64.b64decode(answer, validate=True))
                except (dns.exception.DNSException, binascii.Error):
                    return "no DNS answer"
                code = dns.rcode.to_text(record.rcode())
                return "" if record.answer else "an empty answer" if code == "NOERROR" else code
    return None


def ask(kubectl: Sequence[str], hosts: Iterable[HostOutput]) -> Cluster:
    """Ask the API, as the administrator, and compare its nodes with the hosts that should exist."""
    command = [*kubectl, "--request-timeout=10s", "get", "nodes,pods,deployments.apps", "--all-namespaces"]
    done = subprocess.run(
        [*command, "--output=json"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        return Cluster(trouble=(done.stderr.strip().splitlines() or ["no answer"])[-1])
    try:
        items = json.loads(done.stdout)["items"]
    except (ValueError, KeyError) as error:
        raise LauncherError(f"kubectl did not print a list of objects: {error}") from error
    return read(items, hosts)


def read(objects: Iterable[Mapping[str, Any]], hosts: Iterable[HostOutput]) -> Cluster:
    """Sort the API's objects by node; hosts that are not nodes are in the result too."""
    kinds: dict[str, list[Mapping[str, Any]]] = {"Node": [], "Pod": [], "Deployment": []}
    for item in objects:
        kinds[item["kind"]].append(item)
    phases: dict[str, Counter[str]] = {}
    for pod in kinds["Pod"]:
        phases.setdefault(pod["spec"].get("nodeName", ""), Counter())[pod["status"].get("phase", "Unknown")] += 1
    registered = {node["metadata"]["name"]: node for node in kinds["Node"]}
    wanted = {host["privateName"]: host["name"] for host in hosts if KUBELET_ROLES.intersection(host["roles"])}
    names = [*wanted, *(name for name in registered if name not in wanted)]
    dns = next((found for found in kinds["Deployment"] if _is_dns(found)), None)
    return Cluster(
        nodes=tuple(_node(name, wanted.get(name, ""), registered.get(name), phases.get(name, {})) for name in names),
        dns_ready=dns["status"].get("readyReplicas", 0) if dns else 0,
        dns_wanted=dns["spec"].get("replicas", 1) if dns else 0,
    )


def _is_dns(deployment: Mapping[str, Any]) -> bool:
    metadata = deployment["metadata"]
    return (metadata["namespace"], metadata["name"]) == ("kube-system", "coredns")


def _node(name: str, host: str, found: Mapping[str, Any] | None, pods: Mapping[str, int]) -> Node:
    if found is None:
        return Node(name=name, host=host, trouble="not registered", pods=pods)
    labels, spec, status = found["metadata"].get("labels", {}), found["spec"], found["status"]
    return Node(
        name=name,
        host=host,
        trouble=_trouble(status.get("conditions", [])) if host else "no host of the graph: kubectl delete node",
        cordoned=spec.get("unschedulable", False),
        roles=tuple(sorted(label.removeprefix(LABEL_PREFIX) for label in labels if label.startswith(LABEL_PREFIX))),
        taints=tuple(_taint(taint) for taint in spec.get("taints", [])),
        version=status.get("nodeInfo", {}).get("kubeletVersion", "").removeprefix("v"),
        pods=pods,
    )


def _trouble(conditions: Iterable[Mapping[str, str]]) -> str:
    by_type = {condition["type"]: condition for condition in conditions}
    ready = by_type.get("Ready")
    if ready is None or ready["status"] != "True":
        return f"NotReady: {ready['message'] if ready else 'its kubelet has not reported yet'}"
    return ", ".join(sorted(kind for kind in _PRESSURE & by_type.keys() if by_type[kind]["status"] == "True"))


def _taint(taint: Mapping[str, str]) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint['key']}{value}:{taint['effect']}"
