"""Data of an existing cluster, in a running lab."""

from __future__ import annotations

from typing import Any

from lab.hosts import operator
from launcher import lab_daemon, stacks
from launcher.context import Context
from launcher.errors import LauncherError


def cluster(context: Context) -> dict[str, Any]:
    """Read the outputs of an existing cluster, in a running lab."""
    outputs = stacks.outputs(context.workspace)
    if not lab_daemon.runs(context.workspace):
        raise asleep()
    return outputs


def asleep() -> LauncherError:
    """Make the error for a cluster that exists while its lab does not run."""
    return LauncherError("the lab is not running: ./triplane up starts it again, with the cluster that was in it")


def droplets(context: Context) -> dict[str, str]:
    """Droplet's name → its status in the cloud."""
    import httpx  # noqa: PLC0415 - a fifth of a second that only some commands need

    token = lab_daemon.tokens(context.workspace)["digitalocean"]
    address = f"{context.workspace.lab.api_url}/v2/droplets?per_page=200"
    try:
        response = httpx.get(address, headers={"Authorization": f"Bearer {token}"}, timeout=10, trust_env=False)
        response.raise_for_status()
    except httpx.HTTPError as error:
        raise LauncherError(f"the lab's API does not answer: {error}; see ./triplane lab status") from error
    return {droplet["name"]: droplet["status"] for droplet in response.json()["droplets"]}


def kubectl_command(context: Context) -> list[str]:
    """Command line of kubectl as the administrator, in a place where the lab's names resolve."""
    workspace = context.workspace
    program = workspace.bin / "kubectl"
    if not program.exists():
        context.preparation.everything(workspace.stack)
    if not stacks.has_kubeconfig(workspace):
        stacks.write_kubeconfig(context.preparation.engine())
    return operator.command(workspace.lab, ["env", f"KUBECONFIG={workspace.kubeconfig}", str(program)])
