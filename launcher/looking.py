"""The commands that look at a cluster. They are typed often, so what they do not need they do not import."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from lab.hosts import operator
from launcher import lab_daemon, memory, nodes, stacks
from launcher import status as health
from launcher.access import certify, host_named, ssh_command
from launcher.desk import Desk, become
from launcher.errors import LauncherError
from launcher.report import console
from model import paths, ports

if TYPE_CHECKING:
    from launcher.preparation import Preparation


def kubectl(desk: Desk, arguments: Sequence[str]) -> NoReturn:
    """Put kubectl in this process's place."""
    cluster(desk)
    become([*kubectl_command(desk), *arguments])


def kubectl_command(desk: Desk) -> list[str]:
    """Kubectl as the administrator, where the lab's names resolve."""
    workspace = desk.workspace
    program = workspace.bin / "kubectl"
    if not program.exists():
        _preparation(desk).everything(workspace.stack)
    if not stacks.has_kubeconfig(workspace):
        stacks.write_kubeconfig(_preparation(desk).engine())
    return operator.command(workspace.lab, ["env", f"KUBECONFIG={workspace.kubeconfig}", str(program)])


def _preparation(desk: Desk) -> Preparation:
    from launcher.preparation import Preparation  # noqa: PLC0415 - half a second, and rarely needed

    return Preparation(workspace=desk.workspace, report=desk.report)


def cluster(desk: Desk) -> dict[str, Any]:
    """Read the outputs of a cluster that is there, in a lab that runs."""
    outputs = stacks.outputs(desk.workspace)
    if not lab_daemon.runs(desk.workspace):
        raise asleep()
    return outputs


def asleep() -> LauncherError:
    """Say that there is a cluster, and nothing that runs it."""
    return LauncherError("the lab is not running: ./triplane up starts it again, with the cluster that was in it")


def droplets(desk: Desk) -> dict[str, str]:
    """Droplet's name → its status, as the cloud has it."""
    import httpx  # noqa: PLC0415 - a fifth of a second that only some commands need

    token = lab_daemon.tokens(desk.workspace)["digitalocean"]
    address = f"{desk.workspace.lab.api_url}/v2/droplets?per_page=200"
    try:
        response = httpx.get(address, headers={"Authorization": f"Bearer {token}"}, timeout=10, trust_env=False)
        response.raise_for_status()
    except httpx.HTTPError as error:
        raise LauncherError(f"the lab's API does not answer: {error}; see ./triplane lab status") from error
    return {droplet["name"]: droplet["status"] for droplet in response.json()["droplets"]}


def etcdctl(desk: Desk, arguments: Sequence[str]) -> NoReturn:
    """Run etcdctl on the first etcd host that is on."""
    outputs = cluster(desk)
    power = droplets(desk)
    members = [node for node in outputs["hosts"] if "etcd" in node["roles"]]
    running = [node for node in members if power.get(node["droplet"]) == "active"]
    if not running:
        raise LauncherError("no etcd host is powered on: ./triplane status")
    script = (
        f"set -a; . {paths.ETCD_CTL_ENVIRONMENT}; {_endpoints(arguments)}set +a; "
        f'program=$({health.program_of("etcd")}); exec "${{program%/*}}/etcdctl" {shlex.join(arguments)}'
    )
    certify(desk.workspace)
    become(ssh_command(desk.workspace, outputs, running[0], [script]))


def _endpoints(arguments: Sequence[str]) -> str:
    """Shell that sets whom to ask where all members are not meant; etcdctl refuses to be told twice."""
    if any(word.split("=")[0] == "--endpoints" for word in arguments):
        return "unset ETCDCTL_ENDPOINTS; "
    if "snapshot" in arguments:  # of one member
        return f"ETCDCTL_ENDPOINTS=https://127.0.0.1:{ports.ETCD_CLIENT.number}; "
    return ""


def ssh(desk: Desk, host: str, command: Sequence[str]) -> NoReturn:
    """Log in, or run a command."""
    outputs = cluster(desk)
    node = host_named(outputs["hosts"], host)
    certify(desk.workspace)
    become(ssh_command(desk.workspace, outputs, node, command))


def status(desk: Desk, *, json: bool) -> int:
    """Look at everything, and show it."""
    snapshot = look(desk)
    if json:
        print(health.as_json(snapshot))
    else:
        console().print(health.render(snapshot), highlight=False)
    return 0 if snapshot.well or not snapshot.hosts else 1


def look(desk: Desk) -> health.Snapshot:
    """Ask everything what runs where, and how it is."""
    workspace = desk.workspace
    lab = workspace.lab
    if not lab_daemon.runs(workspace):
        known = stacks.state_file(workspace, workspace.stack).exists()
        hint = str(asleep() if known else stacks.no_cluster())
        return health.Snapshot(lab=f"{lab.name} is not running", memory=None, hint=hint)
    told = f"{lab.name} runs in {lab.directory}; APIs at {lab.api_url}, mirror at {lab.mirror_url}"
    used = memory.proportional_set_size(lab_daemon.processes(workspace))
    try:
        outputs = cluster(desk)
    except LauncherError as error:
        return health.Snapshot(lab=told, memory=used, hint=str(error))
    api_port = int(outputs["apiEndpoint"].rpartition(":")[2])
    certify(workspace)
    hosts = health.probe_all(workspace, outputs, droplets(desk), api_port)
    up_masters = [host.node for host in hosts if host.power == "active"]
    return health.Snapshot(
        lab=told,
        memory=used,
        hosts=hosts,
        endpoint=outputs["apiEndpoint"],
        ready=health.readiness(kubectl_command(desk), up_masters, api_port),
        cluster=nodes.ask(kubectl_command(desk), outputs["hosts"]),
        certificates=outputs.get("certificates") or {},
    )


def lab(desk: Desk, arguments: Sequence[str]) -> NoReturn:
    """Put the lab's own command in this process's place."""
    desk.workspace.prepare()
    os.chdir(desk.workspace.checkout)
    become(lab_daemon.command(desk.workspace, arguments or ["--help"]))
