"""The commands that change what there is, and those that need all that a change needs."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from rich.table import Table

from lab import toolchain
from lab.hosts import rootfs
from lab.oci.recipes import AGNHOST
from launcher import lab_daemon, plugin_choice, repair, stacks
from launcher.desk import Desk, become
from launcher.engine import Engine
from launcher.errors import InterruptedByUserError, LauncherError, MistakeError
from launcher.preparation import ENGINE, IMAGES, RELEASES, Preparation, official_plugins, releases
from launcher.report import console

CHANGING = frozenset({"up", "update", "destroy", "down", "dn", "refresh", "import", "watch"})
"""The engine's commands that act on hosts, so that all of the lab must be there."""

OFFLINE = frozenset({"version", "help", "gen-completion", "about", "plugin", "schema", "package", "whoami", "login"})
"""The engine's commands that need no stack."""


def _preparation(desk: Desk) -> Preparation:
    return Preparation(workspace=desk.workspace, report=desk.report)


def up(desk: Desk, *, preview: bool, refresh: bool) -> int:
    """Raise the cluster."""
    with desk.workspace.locked(desk.report):
        engine = ready(desk, desk.workspace.stack)
        used = plugin_choice.Kind.OFFICIAL if engine.official_plugins else plugin_choice.Kind.STAND_INS
        desk.report.say(f"provider plugins: {used}")
        verb = ["preview"] if preview else ["up", "--yes", "--skip-preview"]
        outcome = engine.run(*verb, "--suppress-outputs", *(["--refresh"] if refresh else []))
    if outcome.stopped:
        raise InterruptedByUserError("stopped; ./triplane up goes on from here, ./triplane down clears everything away")
    if outcome.code == 0 and not preview:
        show_next(stacks.outputs(desk.workspace), _image_for_pods(desk))
    return outcome.code


def _image_for_pods(desk: Desk) -> str | None:
    """Name the one image that the lab's registry has beside the cluster's own: there is no way to another registry."""
    version = releases(stacks.settings(desk.workspace, desk.workspace.stack).get("triplane:versions"))["kubernetes"]
    made = toolchain.cached("kubernetes-images", version)
    return f"{AGNHOST}:{made.path('VERSION').read_text().strip()}" if made else None


def ready(desk: Desk, stack: str) -> Engine:
    """Have binaries, mirror, image, lab and stack, and nothing left undecided of an earlier run."""
    workspace, preparation = desk.workspace, _preparation(desk)
    plugin_choice.settle(workspace, os.environ, official_plugins(os.environ))  # refuse before anything is built
    preparation.everything(stack)
    lab_daemon.start(workspace, desk.report)
    engine = preparation.engine(resolving=True)
    preparation.stack(engine, stack)
    wait_for_engine(desk, stack)
    tokens = lab_daemon.tokens(workspace)
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


def show_next(outputs: Mapping[str, Any], image: str | None) -> None:
    """Say what there is now, and what to do with it; `image` is one that pods may have."""
    out = console()
    table = Table(box=None, pad_edge=False)
    for heading in ("HOST", "ROLES", "PUBLIC", "PRIVATE"):
        table.add_column(heading)
    for node in outputs["hosts"]:
        table.add_row(node["name"], ", ".join(node["roles"]), node["publicAddress"], node["privateAddress"])
    out.print(table)
    out.print(f"\nThe API answers at {outputs['apiEndpoint']}. Next:", highlight=False)
    first = outputs["hosts"][0]["name"].split(".")[0]
    for command, purpose in (
        ("./triplane status", "what runs where, and how it is"),
        ("./triplane kubectl get nodes -o wide", "the nodes, by the cluster's API, as its administrator"),
        ("./triplane kubectl get pods -A -o wide", "what runs on them"),
        ("./triplane etcdctl member list -w table", "the members of etcd"),
        (f"./triplane ssh {first}", "a shell on a host"),
        ("./triplane pulumi preview --diff", "what a change in Pulumi.lab.yaml would do"),
        ("./triplane down", "everything away again"),
    ):
        out.print(f"  {command:<44}{purpose}", highlight=False)
    if image:
        out.print(
            f"\nA first pod: ./triplane kubectl run web --image={image} -- netexec", highlight=False, soft_wrap=True
        )


def down(desk: Desk) -> None:
    """Leave nothing: what the engine knows is destroyed by the engine, and then the lab goes with all that is in it."""
    workspace = desk.workspace
    with workspace.locked(desk.report):
        for stack in stacks.recorded(workspace):
            wait_for_engine(desk, stack)
            if stacks.checkpoint(workspace, stack).get("resources"):
                _destroy(desk, stack)
            stacks.forget(workspace, stack)
        lab_daemon.remove(workspace, desk.report)
    desk.report.say("all is down; ./triplane up raises it again")


def _destroy(desk: Desk, stack: str) -> None:
    try:
        lab_daemon.start(desk.workspace, desk.report)
        engine = _preparation(desk).engine(resolving=True)
        _preparation(desk).stack(engine, stack)
        tokens = lab_daemon.tokens(desk.workspace)
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
    """Run pytest in this process's place, so that its summary is the last line and its exit code is ours."""
    workspace = desk.workspace
    chosen = selected(arguments)
    if chosen.needs_hosts:
        with workspace.locked(desk.report):
            _preparation(desk).everything(workspace.stack)
    os.chdir(workspace.checkout)
    become([str(workspace.python), "-m", "pytest", *chosen.arguments])


@dataclass(frozen=True, kw_only=True, slots=True)
class Tests:
    """Which tests are meant, in pytest's words."""

    arguments: tuple[str, ...]
    needs_hosts: bool = True
    """Whether the lab's binaries and image must be there."""


def selected(arguments: Sequence[str]) -> Tests:
    """Read `fast` or `long` from the first word; what follows is pytest's, and wins over what is chosen here.

    Two processes share the work. The end-to-end tests are one group, since they share one cluster.
    """
    both = ("-n", "2")
    match [*arguments]:
        case ["fast", *others]:
            return Tests(arguments=("-m", "not hosts and not engine", *both, *others), needs_hosts=False)
        case ["long", *others]:
            return Tests(arguments=(*both, *(f"--host-image={slug}" for slug in rootfs.IMAGES), *others))
        case others:
            return Tests(arguments=("-m", "not long", *both, *others))


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
    with workspace.locked(desk.report):
        if verb in OFFLINE or "--help" in arguments or "-h" in arguments:
            engine = _preparation(desk).engine()
        elif verb in CHANGING:
            engine = ready(desk, stack)
        else:
            lab_daemon.start(workspace, desk.report)
            engine = _preparation(desk).engine(resolving=True)
            _preparation(desk).stack(engine, stack)
    engine.become(arguments)


def doctor(desk: Desk, arguments: Sequence[str]) -> NoReturn:
    """Put the doctor in this process's place, with the lab for a cloud and this machine's address in it."""
    from doctor.__main__ import parser  # noqa: PLC0415 - it brings the program's settings, and with them Pulumi's SDK

    parser().parse_args(arguments)  # a wrong word is told before a lab is started
    workspace = desk.workspace
    stack = stack_meant(arguments, os.environ.get("PULUMI_STACK") or workspace.stack)
    command = [str(workspace.python), "-m", "doctor", "--cwd", str(workspace.directory)]
    here = ["--stack", stack, "--address", str(workspace.lab.services)]
    with workspace.locked(desk.report):
        lab_daemon.start(workspace, desk.report)
        engine = _preparation(desk).engine()
        _preparation(desk).stack(engine, stack)
    desk.report.say("the clouds asked are the lab's; on a real account: .venv/bin/python -m doctor --stack prod")
    os.chdir(workspace.checkout)
    become([*command, *here, *arguments], engine.environment(stack))


def version(desk: Desk) -> None:
    """Say what is pinned, and what stands in for what."""
    table = Table(box=None, pad_edge=False)
    for heading in ("PROGRAM", "VERSION", "ORIGIN", "HERE"):
        table.add_column(heading)
    for program in (toolchain.PULUMI_RELEASE, *(toolchain.PROGRAMS[name] for name in (*ENGINE, *RELEASES, *IMAGES))):
        for number in program.versions:
            made = toolchain.cached(program, number)
            here = (made.origin, str(made.directory)) if made else ("", "not here yet")
            table.add_row(program.name, number, *here)
    out = console()
    out.print(table, highlight=False)
    official = official_plugins(os.environ)
    try:
        used = plugin_choice.choose(desk.workspace, os.environ, available=official is not None)
        said = f"{used}, in {official}" if used is plugin_choice.Kind.OFFICIAL else str(used)
    except MistakeError as error:
        said = str(error)
    out.print(f"provider plugins: {said}", highlight=False, soft_wrap=True)
