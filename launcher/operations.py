"""What each command does, from the pieces in the other modules."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import httpx
from rich.table import Table

from lab import plugins, toolchain
from lab.hosts import operator
from launcher import lab as daemon
from launcher import memory, repair, stacks
from launcher import status as health
from launcher.access import certify, node_named, ssh_command
from launcher.engine import Engine
from launcher.errors import InterruptedByUserError, LauncherError
from launcher.preparation import ENGINE, RELEASES, Preparation, official_plugins
from launcher.report import Report, console
from launcher.workspace import Workspace
from model import paths

CHANGING = frozenset({"up", "update", "destroy", "down", "dn", "refresh", "import", "watch"})
"""The engine's commands that act on hosts, so that all of the lab must be there."""

OFFLINE = frozenset({"version", "help", "gen-completion", "about", "plugin", "schema", "package", "whoami", "login"})
"""The engine's commands that need no stack."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """What every command has at hand."""

    workspace: Workspace
    report: Report

    @property
    def preparation(self) -> Preparation:
        """The pieces that a command needs first."""
        return Preparation(workspace=self.workspace, report=self.report)


def up(desk: Desk, *, preview: bool, refresh: bool) -> int:
    """Raise the cluster."""
    with desk.workspace.locked(desk.report):
        engine = ready(desk, desk.workspace.stack)
        verb = ["preview"] if preview else ["up", "--yes", "--skip-preview", "--suppress-outputs"]
        outcome = engine.run(*verb, *(["--refresh"] if refresh else []))
    if outcome.stopped:
        raise InterruptedByUserError("stopped; ./triplane up goes on from here, ./triplane down clears everything away")
    if outcome.code == 0 and not preview:
        show_next(stacks.outputs(engine))
    return outcome.code


def ready(desk: Desk, stack: str) -> Engine:
    """Have binaries, mirror, image, lab and stack, and nothing left undecided of an earlier run."""
    workspace, preparation = desk.workspace, desk.preparation
    workspace.prepare()
    preparation.everything(stack)
    daemon.start(workspace, desk.report)
    engine = preparation.engine(resolving=True)
    preparation.stack(engine, stack)
    wait_for_engine(desk, stack)
    tokens = daemon.tokens(workspace)
    repair.finish_interrupted(engine, stack, repair.Cloud(workspace.lab.api_url, tokens))
    return engine


def wait_for_engine(desk: Desk, stack: str) -> None:
    """Wait until no living engine works on the stack; what dead ones left of it is cleared."""
    told = False
    while held := repair.clear_stale_locks(desk.workspace, stack):
        if not told:
            desk.report.say(f"waiting for pulumi (process {held[0].pid}), which is at work on stack {stack}")
            told = True
        time.sleep(0.2)


def show_next(outputs: Mapping[str, Any]) -> None:
    """Say what there is now, and what to do with it."""
    out = console()
    table = Table(box=None, pad_edge=False)
    for heading in ("HOST", "ROLES", "PUBLIC", "PRIVATE"):
        table.add_column(heading)
    for node in outputs["nodes"]:
        table.add_row(node["name"], ", ".join(node["roles"]), node["publicAddress"], node["privateAddress"])
    out.print(table)
    out.print(f"\nThe API answers at {outputs['apiEndpoint']}. Next:", highlight=False)
    first = outputs["nodes"][0]["name"].split(".")[0]
    for command, purpose in (
        ("./triplane status", "what runs where, and how it is"),
        ("./triplane kubectl get namespaces", "the cluster's API, as its administrator"),
        ("./triplane etcdctl member list -w table", "the members of etcd"),
        (f"./triplane ssh {first}", "a shell on a host"),
        ("./triplane pulumi preview --diff", "what a change in Pulumi.lab.yaml would do"),
        ("./triplane down", "everything away again"),
    ):
        out.print(f"  {command:<44}{purpose}", highlight=False)


def down(desk: Desk) -> None:
    """Leave nothing: what the engine knows is destroyed by the engine, and then the lab goes with all that is in it."""
    workspace = desk.workspace
    workspace.prepare()
    with workspace.locked(desk.report):
        for stack in stacks.recorded(workspace):
            wait_for_engine(desk, stack)
            if stacks.checkpoint(workspace, stack).get("resources"):
                _destroy(desk, stack)
            stacks.forget(workspace, stack)
        daemon.remove(workspace, desk.report)
    desk.report.say("all is down; ./triplane up raises it again")


def _destroy(desk: Desk, stack: str) -> None:
    try:
        daemon.start(desk.workspace, desk.report)
        engine = desk.preparation.engine(resolving=True)
        desk.preparation.stack(engine, stack)
        tokens = daemon.tokens(desk.workspace)
        repair.finish_interrupted(engine, stack, repair.Cloud(desk.workspace.lab.api_url, tokens))
        outcome = engine.run("destroy", "--yes", "--skip-preview", "--stack", stack)
        problem = "" if outcome.code == 0 else f"pulumi destroy ended with exit code {outcome.code}"
    except (LauncherError, toolchain.ToolchainError) as error:
        outcome, problem = None, str(error)
    if outcome is not None and outcome.stopped:
        raise InterruptedByUserError("stopped; ./triplane down goes on from here")
    if problem:
        # All that the stack has is in this lab, and the lab goes next: nothing can stay behind in any cloud.
        desk.report.warn(f"{problem}; its resources go with the lab")


def test(desk: Desk, arguments: Sequence[str]) -> NoReturn:
    """Run pytest in this process's place, so that its summary is the last line and its exit code ours."""
    workspace = desk.workspace
    words = list(arguments)
    if words[:1] == ["fast"]:
        chosen = ["-m", "not hosts and not engine", "-n", "2", *words[1:]]
    else:
        chosen = words
        with workspace.locked(desk.report):
            workspace.prepare()
            desk.preparation.everything(workspace.stack)
    os.chdir(workspace.checkout)
    python = str(workspace.python)
    os.execv(python, [python, "-m", "pytest", *chosen])  # noqa: S606 - no shell is wanted


def stack_meant(arguments: Sequence[str], default: str) -> str:
    """Find the stack that a command line of the engine's is about."""
    for position, word in enumerate(arguments):
        if word in {"--stack", "-s"} and position + 1 < len(arguments):
            return arguments[position + 1]
        if word.startswith("--stack="):
            return word.removeprefix("--stack=")
    return default


def pulumi(desk: Desk, arguments: Sequence[str]) -> NoReturn:
    """Put the engine in this process's place, after all that its command needs."""
    workspace = desk.workspace
    stack = stack_meant(arguments, os.environ.get("PULUMI_STACK") or workspace.stack)
    verb = next((word for word in arguments if not word.startswith("-")), "help")
    workspace.prepare()
    with workspace.locked(desk.report):
        if verb in OFFLINE or "--help" in arguments or "-h" in arguments:
            engine = desk.preparation.engine()
        elif verb in CHANGING:
            engine = ready(desk, stack)
        else:
            daemon.start(workspace, desk.report)
            engine = desk.preparation.engine(resolving=True)
            desk.preparation.stack(engine, stack)
    engine.become(arguments)


def kubectl(desk: Desk, arguments: Sequence[str]) -> NoReturn:
    """Put kubectl in this process's place."""
    cluster(desk)
    command = kubectl_command(desk)
    env = dict(os.environ) | {"KUBECONFIG": str(desk.workspace.kubeconfig)}
    become([*command, *arguments], env)


def kubectl_command(desk: Desk) -> list[str]:
    """Kubectl, where the lab's names resolve."""
    return operator.command(desk.workspace.lab, [str(desk.preparation.kubectl())])


def become(command: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """Put a program in this process's place."""
    sys.stdout.flush()
    os.execvpe(command[0], list(command), dict(env))  # noqa: S606 - no shell is wanted


def cluster(desk: Desk) -> dict[str, Any]:
    """Read the outputs of a cluster that is there, in a lab that runs."""
    workspace = desk.workspace
    if not stacks.state_file(workspace, workspace.stack).exists():
        raise stacks.no_cluster()
    outputs = stacks.outputs(desk.preparation.engine())
    if not daemon.runs(workspace):
        raise LauncherError("the lab is not running: ./triplane up starts it again, with the cluster that was in it")
    return outputs


def droplets(desk: Desk) -> dict[str, str]:
    """Droplet's name → its status, as the cloud has it."""
    token = daemon.tokens(desk.workspace)["digitalocean"]
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
    members = [node for node in outputs["nodes"] if "etcd" in node["roles"]]
    running = [node for node in members if power.get(node["fqdn"]) == "active"]
    if not running:
        raise LauncherError("no etcd host is powered on: ./triplane status")
    script = (
        f"set -a; . {paths.ETCD_CTL_ENVIRONMENT}; set +a; "
        f'program=$({health.program_of("etcd")}); exec "${{program%/*}}/etcdctl" {shlex.join(arguments)}'
    )
    certify(desk.workspace)
    become(ssh_command(desk.workspace, outputs, running[0], [script]), os.environ)


def ssh(desk: Desk, host: str, command: Sequence[str]) -> NoReturn:
    """Log in, or run a command."""
    outputs = cluster(desk)
    node = node_named(outputs["nodes"], host)
    certify(desk.workspace)
    become(ssh_command(desk.workspace, outputs, node, command), os.environ)


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
    if not daemon.runs(workspace):
        return health.Snapshot(lab=f"{lab.name} is not running", memory=None)
    told = f"{lab.name} runs in {lab.directory}; APIs at {lab.api_url}, mirror at {lab.mirror_url}"
    used = memory.proportional_set_size(daemon.processes(workspace))
    try:
        outputs = cluster(desk)
    except LauncherError:
        return health.Snapshot(lab=told, memory=used)
    api_port = int(outputs["apiEndpoint"].rpartition(":")[2])
    certify(workspace)
    hosts = health.probe_all(workspace, outputs, droplets(desk), api_port)
    env = dict(os.environ) | {"KUBECONFIG": str(workspace.kubeconfig)}
    up_masters = [host.node for host in hosts if host.power == "active"]
    return health.Snapshot(
        lab=told,
        memory=used,
        hosts=hosts,
        endpoint=outputs["apiEndpoint"],
        ready=health.readiness(kubectl_command(desk), up_masters, api_port, env),
        certificates=outputs.get("certificates") or {},
    )


def lab(desk: Desk, arguments: Sequence[str]) -> NoReturn:
    """Put the lab's own command in this process's place."""
    desk.workspace.prepare()
    os.chdir(desk.workspace.checkout)
    become(daemon.command(desk.workspace, arguments or ["--help"]), os.environ)


def version() -> None:
    """Say what is pinned, and what stands in for what."""
    table = Table(box=None, pad_edge=False)
    for heading in ("PROGRAM", "VERSION", "HERE"):
        table.add_column(heading)
    for name in (*ENGINE, *RELEASES):
        for number in toolchain.PROGRAMS[name].versions:
            built = toolchain.cached(name, number)
            table.add_row(name, number, "not built yet" if built is None else str(built.directory))
    out = console()
    out.print(table, highlight=False)
    official = official_plugins(os.environ)
    source = "this lab's stand-ins" if official is None else f"the official ones, in {official}"
    out.print(f"provider plugins ({', '.join(plugins.PLUGINS)}): {source}", highlight=False)
