"""`./triplane status`."""

from __future__ import annotations

from launcher import health, lab_daemon, memory, nodes, stacks
from launcher.access import certify
from launcher.context import Context
from launcher.errors import LauncherError
from launcher.live import asleep, cluster, droplets, kubectl_command
from launcher.report import console


def status(context: Context, *, json: bool) -> int:
    """Examine everything, and show it."""
    snapshot = look(context)
    if json:
        print(health.as_json(snapshot))
    else:
        console().print(health.render(snapshot), highlight=False)
    return 0 if snapshot.well or not snapshot.hosts else 1


def look(context: Context) -> health.Snapshot:
    """Ask hosts and API for the services that run, and their health."""
    workspace = context.workspace
    lab = workspace.lab
    if not lab_daemon.runs(workspace):
        known = stacks.state_file(workspace, workspace.stack).exists()
        hint = str(asleep() if known else stacks.no_cluster())
        return health.Snapshot(lab=f"{lab.name} is not running", memory=None, hint=hint)
    told = f"{lab.name} runs in {lab.directory}; APIs at {lab.api_url}, mirror at {lab.mirror_url}"
    used = memory.proportional_set_size(lab_daemon.processes(workspace))
    try:
        outputs = cluster(context)
    except LauncherError as error:
        return health.Snapshot(lab=told, memory=used, hint=str(error))
    api_port = int(outputs["apiEndpoint"].rpartition(":")[2])
    certify(workspace)
    hosts = health.probe_all(workspace, outputs, droplets(context), api_port)
    running = [host.output for host in hosts if host.power == "active"]
    kubectl = kubectl_command(context)
    return health.Snapshot(
        lab=told,
        memory=used,
        hosts=hosts,
        endpoint=outputs["apiEndpoint"],
        ready=health.readiness(kubectl, running, api_port),
        cluster=nodes.ask(kubectl, outputs["hosts"]),
        certificates=outputs.get("certificates") or {},
        settings=outputs["settings"],
    )
