"""Hosts, services and nodes, and their health."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from launcher import nodes
from launcher.access import HostOutput, ssh_command
from launcher.workspace import Workspace
from model import expiry
from model.roles import Role
from model.services import kube_apiserver
from model.services.registry import SERVICES
from model.topology import KUBELET_ROLES

SECONDS = 20
"""Time limit for a host's answer."""

UNITS: Mapping[str, tuple[str, ...]] = {
    role: tuple(service.UNIT for service in SERVICES if role in service.ROLES) for role in Role
}
"""Role → its units."""

CHECKS: Mapping[str, str] = {
    service.UNIT: (kube_apiserver.health("$API_PORT") if service is kube_apiserver else service.HEALTH).check
    for service in SERVICES
}
"""Unit → its health check on its host; `$directory` is the directory of its program."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A unit on a host."""

    name: str
    version: str
    active: str
    healthy: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """A droplet, with data from the cloud and from the host itself."""

    output: HostOutput
    power: str
    services: tuple[Service, ...] = ()
    trouble: str = ""
    """Reason why the host could not be asked."""
    dns: str | None = None
    """Reason why names do not resolve there, empty if they do; None if no pods run there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """State of the whole cluster at one time."""

    lab: str
    memory: int | None
    hint: str = ""
    """Reason why there are no hosts, and advice."""
    hosts: tuple[Host, ...] = ()
    endpoint: str = ""
    ready: Mapping[str, str] = field(default_factory=dict)
    """Master → the answer of its /readyz to the administrator."""
    cluster: nodes.Cluster = field(default_factory=nodes.Cluster)
    certificates: Mapping[str, str] = field(default_factory=dict)
    """Certificate → its end, in RFC 3339."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Setting → value, of the last `up`."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def well(self) -> bool:
        """True if there is a cluster, and all its parts are healthy."""
        return (
            bool(self.hosts)
            and all(not host.trouble and all(service.healthy for service in host.services) for host in self.hosts)
            and all(answer == "ok" for answer in self.ready.values())
            and self.cluster.well
            and not any(host.dns for host in self.hosts)
            and not expiry.ended(self.ends, self.now)
        )

    @property
    def ends(self) -> expiry.Ends:
        """Certificate → its end."""
        return {name: datetime.fromisoformat(end) for name, end in self.certificates.items()}

    @property
    def lifetimes(self) -> expiry.Lifetimes | None:
        """Lives of certificates by the settings of the last `up`, if that has told them."""
        names = {"ca_hours": "caHours", "leaf_hours": "leafHours", "renew_hours": "renewHours"}
        try:
            return expiry.Lifetimes(**{key: int(self.settings[f"certificates.{it}"]) for key, it in names.items()})
        except KeyError:
            return None


def program_of(unit: str) -> str:
    """Compose a shell command that prints the path of the program that a unit runs."""
    return f"systemctl show --property ExecStart --value {unit} | sed -n 's/^{{ path=\\([^ ;]*\\).*/\\1/p'"


def probe_script(roles: Sequence[str], api_port: int) -> str:
    """Script that prints a host's units, one per line, `name version active yes|no`, and tests DNS of a node's pods."""
    units = [unit for role in roles for unit in UNITS.get(role, ())]
    lines = [f"API_PORT={api_port}"]
    for unit in dict.fromkeys(units):
        lines += [
            f"program=$({program_of(unit)})",
            "directory=${program%/*}",
            "version=${program#/opt/triplane/*/}",
            f"if ( {CHECKS[unit]} ); then well=yes; else well=no; fi",
            '[ -n "$program" ] || version=none',
            f'echo "{unit} ${{version%%/*}} $(systemctl is-active {unit}) $well"',
        ]
    return "\n".join([*lines, *([nodes.DNS_PROBE] if KUBELET_ROLES.intersection(roles) else [])])


def parse_probe(output: str) -> tuple[Service, ...]:
    """Read the lines of `probe_script`; ignore others, such as a greeting."""
    services = []
    for line in output.splitlines():
        match line.split():
            case [name, version, active, ("yes" | "no") as well] if name in CHECKS:
                services.append(Service(name=name, version=version, active=active, healthy=well == "yes"))
    return tuple(services)


def probe(workspace: Workspace, outputs: Mapping[str, Any], host: HostOutput, power: str, api_port: int) -> Host:
    """Ask one host."""
    if power != "active":
        return Host(output=host, power=power, trouble=f"powered {power}")
    command = ssh_command(workspace, outputs, host, [probe_script(host["roles"], api_port)], batch=True)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return Host(output=host, power=power, trouble=f"no answer over SSH within {SECONDS} s")
    if done.returncode != 0:
        return Host(
            output=host,
            power=power,
            trouble=done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "SSH failed",
        )
    return Host(output=host, power=power, services=parse_probe(done.stdout), dns=nodes.parse_dns(done.stdout))


def readiness(kubectl: Sequence[str], hosts: Sequence[HostOutput], api_port: int) -> dict[str, str]:
    """Ask each API server, by its own address, as the administrator."""

    def ask(master: HostOutput) -> str:
        server = f"--server=https://{master['publicAddress']}:{api_port}"
        name = f"--tls-server-name={master['fqdn']}"
        done = subprocess.run(
            [*kubectl, server, name, "--request-timeout=10s", "get", "--raw", "/readyz"],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return done.stdout.strip() if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no answer"])[-1]

    masters = [host for host in hosts if "kube-master" in host["roles"]]
    with ThreadPoolExecutor(max_workers=max(1, len(masters))) as pool:
        return dict(zip((master["name"] for master in masters), pool.map(ask, masters), strict=True))


def probe_all(
    workspace: Workspace, outputs: Mapping[str, Any], power: Mapping[str, str], api_port: int
) -> tuple[Host, ...]:
    """Ask all hosts at the same time; `power` is name → state in the cloud."""
    hosts = outputs["hosts"]
    with ThreadPoolExecutor(max_workers=max(1, len(hosts))) as pool:
        return tuple(
            pool.map(lambda host: probe(workspace, outputs, host, power.get(host["droplet"], "gone"), api_port), hosts)
        )


def render(snapshot: Snapshot) -> RenderableType:
    """Format the snapshot for people."""
    memory = "" if snapshot.memory is None else f", {snapshot.memory / 2**20:,.0f} MiB of memory in all its processes"
    parts: list[RenderableType] = [Text(f"Lab: {snapshot.lab}{memory}")]
    if not snapshot.hosts:
        return Group(*parts, Text(snapshot.hint))
    parts.append(Text(f"API: {snapshot.endpoint}"))
    table = Table(box=None, pad_edge=False)
    for heading in ("HOST", "ROLES", "PUBLIC", "PRIVATE", "POWER", "SERVICES"):
        table.add_column(heading, overflow="fold")
    for host in snapshot.hosts:
        services = Text("\n").join(_service(service) for service in host.services)
        output = host.output
        table.add_row(
            output["name"],
            ", ".join(output["roles"]),
            output["publicAddress"],
            output["privateAddress"],
            host.power,
            services if not host.trouble else Text(host.trouble, style="red"),
        )
    parts.append(table)
    for master, answer in snapshot.ready.items():
        parts.append(Text(f"{master}: /readyz says {answer}", style="green" if answer == "ok" else "red"))
    parts += _cluster(snapshot.cluster, snapshot.hosts)
    if snapshot.certificates:
        parts += _certificates(snapshot)
    parts.append(Text("All is well.", style="green") if snapshot.well else Text("Not all is well.", style="red"))
    return Group(*parts)


def _service(service: Service) -> Text:
    good = service.healthy and service.active == "active"
    state = "healthy" if good else f"{service.active}, not healthy"
    return Text(f"{service.name} {service.version}: {state}", style="green" if good else "red")


def _cluster(cluster: nodes.Cluster, hosts: Sequence[Host]) -> list[RenderableType]:
    if cluster.trouble:
        return [Text(f"nodes: the API says {cluster.trouble}", style="red")]
    table = Table(box=None, pad_edge=False)
    for heading in ("NODE", "STATE", "ROLES", "TAINTS", "KUBELET", "PODS"):
        table.add_column(heading, overflow="fold")
    for node in cluster.nodes:
        table.add_row(
            node.host or node.name,
            Text(node.state, style="red" if node.trouble else "yellow" if node.cordoned else "green"),
            ", ".join(node.roles),
            "\n".join(node.taints),
            node.version,
            ", ".join(f"{count} {phase.lower()}" for phase, count in sorted(node.pods.items())) or "none",
        )
    replicas = Text(
        f"CoreDNS: {cluster.dns_ready} of {cluster.dns_wanted} replicas are ready",
        style="green" if cluster.dns_well else "red",
    )
    return [table, replicas, *_resolution([host for host in hosts if host.dns is not None])]


def _resolution(asked: Sequence[Host]) -> list[Text]:
    """Say on which hosts the cluster's DNS answers."""
    failed = [host for host in asked if host.dns]
    if asked and not failed:
        return [Text(f"names of the cluster resolve on {len(asked)} of {len(asked)} nodes", style="green")]
    return [
        Text(f"{host.output['name']}: names of the cluster do not resolve: {host.dns}", style="red") for host in failed
    ]


def _certificates(snapshot: Snapshot) -> Iterator[Text]:
    """Name the first one to expire, and warn of those that have ended or that no `up` of today renews in time."""
    first, name = min((end, name) for name, end in snapshot.ends.items())
    days = (first - snapshot.now).days
    text = f"{len(snapshot.ends)} certificates; the first to expire is {name}, on {first:%Y-%m-%d} (in {days} days)"
    if snapshot.lifetimes and snapshot.now < first < snapshot.now + snapshot.lifetimes.window(name):
        text += "; the next `up` renews it"
    yield Text(text, style="red" if first - snapshot.now < expiry.NOTICE else "")
    for warning in expiry.warnings(snapshot.ends, snapshot.lifetimes, snapshot.now):
        yield Text(warning, style="red")


def as_json(snapshot: Snapshot) -> str:
    """Format the snapshot for programs."""
    return json.dumps(
        {
            "lab": snapshot.lab,
            "memoryBytes": snapshot.memory,
            "well": snapshot.well,
            "apiEndpoint": snapshot.endpoint,
            "ready": dict(snapshot.ready),
            "certificates": dict(snapshot.certificates),
            "cluster": {
                "trouble": snapshot.cluster.trouble,
                "dns": {"ready": snapshot.cluster.dns_ready, "wanted": snapshot.cluster.dns_wanted},
                "nodes": [
                    {
                        "name": node.name,
                        "host": node.host,
                        "trouble": node.trouble,
                        "cordoned": node.cordoned,
                        "roles": list(node.roles),
                        "taints": list(node.taints),
                        "version": node.version,
                        "pods": dict(node.pods),
                    }
                    for node in snapshot.cluster.nodes
                ],
            },
            "hosts": [
                {
                    "name": host.output["name"],
                    "power": host.power,
                    "trouble": host.trouble,
                    "clusterDns": host.dns,
                    "services": {
                        service.name: {"version": service.version, "active": service.active, "healthy": service.healthy}
                        for service in host.services
                    },
                }
                for host in snapshot.hosts
            ],
        },
        indent=2,
    )
