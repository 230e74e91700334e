"""Times and memory, measured and compared with their targets."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from lab import faults
from launcher import lab_daemon, live, memory, stacks
from launcher.apply import ready
from launcher.bench import cpu, pod_start
from launcher.bench.timeline import Follower, Span, critical_path, dependencies, phases, spans
from launcher.commands.down import down
from launcher.context import Context
from launcher.errors import LauncherError
from launcher.report import console

CONTROL_PLANE = "control plane from nothing, every gate passed"
NODES = "after that, until masters and nodes are Ready"
FROM_NOTHING = "the whole up from nothing"
NOTHING_TO_DO = "up with nothing to do"
PREVIEW = "preview of prod, nine droplets"
POD_START = f"start of {pod_start.PODS} pods, 99th percentile"
MEMORY = "memory of all lab processes, with these pods"

SLOW_BOOT = "the whole up, beyond one droplet's boot of {:g} s"

TARGETS: dict[str, float | None] = {
    CONTROL_PLANE: 120.0,
    NODES: 60.0,
    FROM_NOTHING: None,
    NOTHING_TO_DO: 15.0,
    PREVIEW: 10.0,
    POD_START: 5.0,
}
"""Seconds, on two cores; None for a value that is shown without a target."""
SLOW_BOOT_TARGET = 60.0
"""Seconds that `up` adds to one boot, once droplets are made in parallel; until then each waits for the one before."""
MEMORY_TARGET = 10 << 30

CONTROL_PLANE_PHASES = ("kubernetes:Apiservers", "kubernetes:ControllerManagers", "kubernetes:Schedulers")
"""Types of the control plane's phase, which ends with their last health check."""
NODE_PHASES = ("kubernetes:Kubelets",)
"""Types that are healthy when their node is Ready."""
PERCENTILES = (50, 90, 99, 100)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One `up` from nothing, and its results."""

    seconds: dict[str, float]
    phases: list[tuple[str, float, float, int]]
    """Name, start and end in seconds from the beginning, steps."""
    path: list[tuple[str, str, float, float]]
    """Phase, name, start and end of the steps on the critical path."""
    pods: list[float]
    """Seconds that each pod took to start."""
    memory: int


def bench(context: Context, runs: int, droplet_boot: float = 0) -> int:
    """Measure `runs` times and show the medians; the cluster of the last run stays.

    With `droplet_boot`, every droplet is `active` that many seconds before its operating system starts.
    """
    context.workspace.prepare()
    context.preparation.everything(context.workspace.stack)
    measured = []
    for number in range(1, runs + 1):
        context.report.say(f"run {number} of {runs}")
        down(context)  # this removes the lab's switches too
        if droplet_boot:
            faults.change(context.workspace.lab.directory, [f"boot_seconds={droplet_boot}"])
        measured.append(_run(context))
    show(measured, console(), droplet_boot)
    return cpu_times(context)


def cpu_times(context: Context) -> int:
    """Measure and show the CPU time of runs that change nothing; the cluster must be up.

    Raises LauncherError if it is not.
    """
    live.cluster(context)
    context.report.say("measuring the CPU time of runs that change nothing")
    engine = context.preparation.engine(resolving=True)
    context.preparation.stack(engine, cpu.PROD)
    show_cpu(cpu.pairs(engine), cpu.previews(engine), console())
    return 0


def targets(droplet_boot: float) -> dict[str, float | None]:
    """List the values to show, in order, with their targets; slow boots have one target, and the others have none."""
    if not droplet_boot:
        return TARGETS
    slow = dict.fromkeys((CONTROL_PLANE, NODES, FROM_NOTHING), None)
    return {
        **slow,
        SLOW_BOOT.format(droplet_boot): SLOW_BOOT_TARGET,
        **{k: TARGETS[k] for k in TARGETS if k not in slow},
    }


def _run(context: Context) -> Run:
    workspace = context.workspace
    log = workspace.directory / "events"
    began = time.monotonic()
    engine = ready(context, workspace.stack)
    was_ready = time.monotonic()
    follower = Follower(log)
    with follower.following():
        outcome = engine.run(
            *("up", "--yes", "--skip-preview", "--event-log", str(log)), extra={"PULUMI_DEBUG_COMMANDS": "1"}
        )
    ended = time.monotonic()
    if outcome.code != 0:
        raise LauncherError(f"the measured up ended with exit code {outcome.code}; what it said stands above")
    steps = spans(follower.events)
    needs = dependencies(stacks.checkpoint(workspace, workspace.stack).get("resources") or [])
    first = min((span.start for span in steps.values()), default=ended)
    before = [
        ("binaries, mirror, lab, stack", 0.0, was_ready - began, 0),
        ("the engine's start", was_ready - began, first - began, 0),
    ]
    after = [(phase.name, phase.start - began, phase.end - began, phase.steps) for phase in phases(steps)]
    control_plane, nodes = ends(after, CONTROL_PLANE_PHASES), ends(after, NODE_PHASES)
    context.report.say(f"starting {pod_start.PODS} pods, {pod_start.PER_SECOND} a second")
    image = stacks.settings(workspace, workspace.stack)["triplane:images"]["pause"]
    with pod_start.running(live.kubectl_command(context), image) as pods:
        used = memory.proportional_set_size(lab_daemon.processes(workspace))
    _timed(workspace.checkout, "pulumi", "config", "--stack", "prod")  # makes the stack, which is not part of a preview
    return Run(
        seconds={
            CONTROL_PLANE: control_plane,
            NODES: nodes - control_plane,
            FROM_NOTHING: ended - began,
            NOTHING_TO_DO: _timed(workspace.checkout, "up"),
            PREVIEW: _timed(workspace.checkout, "pulumi", "preview", "--stack", "prod"),
            POD_START: pod_start.percentile(pods, 99),
        },
        phases=before + after,
        path=[_relative(span, began) for span in critical_path(steps, needs)],
        pods=pods,
        memory=used,
    )


def ends(phases: Sequence[tuple[str, float, float, int]], names: Sequence[str]) -> float:
    """Return the end of the last of these phases."""
    return max(end for name, _start, end, _steps in phases if name in names)


def _relative(span: Span, began: float) -> tuple[str, str, float, float]:
    return span.phase, span.name, span.start - began, span.end - began


def _timed(checkout: Path, *arguments: str) -> float:
    began = time.monotonic()
    done = subprocess.run(
        [str(checkout / "triplane"), *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise LauncherError(f"./triplane {' '.join(arguments)} failed:\n{tail}")
    return time.monotonic() - began


def show(runs: Sequence[Run], out: Console, droplet_boot: float = 0) -> None:
    """Print the medians with the targets, and how the median run spent its time."""
    many = f", median of {len(runs)} runs" if len(runs) > 1 else ""
    table = Table(title=f"Against the targets{many}", box=None, title_justify="left", pad_edge=False)
    for heading in ("WHAT", "MEASURED", "AT MOST", ""):
        table.add_column(heading, justify="left" if heading == "WHAT" else "right")
    beyond = {SLOW_BOOT.format(droplet_boot): [run.seconds[FROM_NOTHING] - droplet_boot for run in runs]}
    for what, target in targets(droplet_boot).items():
        value = median(beyond.get(what) or [run.seconds[what] for run in runs])
        verdict = "" if target is None else "ok" if value <= target else "too slow"
        table.add_row(what, f"{value:.1f} s", "" if target is None else f"{target:.0f} s", verdict)
    used = median(run.memory for run in runs)
    verdict = "ok" if used <= MEMORY_TARGET else "too much"
    table.add_row(MEMORY, f"{used / 2**30:.2f} GiB", f"{MEMORY_TARGET / 2**30:.0f} GiB", verdict)
    out.print(table)
    for run in runs:
        times = ", ".join(
            f"{'slowest' if percent == 100 else f'p{percent}'} {pod_start.percentile(run.pods, percent):.2f} s"
            for percent in PERCENTILES
        )
        out.print(f"pod start, {pod_start.PER_SECOND} a second: {times}", highlight=False)

    middle = sorted(runs, key=lambda run: run.seconds[FROM_NOTHING])[(len(runs) - 1) // 2]
    table = Table(title="\nPhases of up from nothing", box=None, title_justify="left", pad_edge=False)
    for heading in ("PHASE", "STEPS", "FROM", "TO", "TOOK"):
        table.add_column(heading, justify="left" if heading == "PHASE" else "right")
    for name, start, end, steps in middle.phases:
        table.add_row(name, str(steps or ""), f"{start:.1f} s", f"{end:.1f} s", f"{end - start:.1f} s")
    out.print(table)

    table = Table(
        title="\nCritical path: each step waited for the one above", box=None, title_justify="left", pad_edge=False
    )
    for heading in ("STEP", "OF", "FROM", "TO", "TOOK", "WAITED"):
        table.add_column(heading, justify="left" if heading in {"STEP", "OF"} else "right")
    previous = middle.phases[1][2] if len(middle.phases) > 1 else 0.0
    for phase, name, start, end in middle.path:
        waited = f"{start - previous:.1f} s" if start > previous else ""
        table.add_row(name, phase, f"{start:.1f} s", f"{end:.1f} s", f"{end - start:.1f} s", waited)
        previous = end
    out.print(table)


def show_cpu(pairs: Sequence[cpu.Pair], previews: Mapping[int, float], out: Console) -> None:
    """Print CPU times beside those of a program with as many trivial resources, and the cost per host."""
    table = Table(title="\nCPU time of a run, medians", box=None, title_justify="left", pad_edge=False)
    for heading in ("WHAT", "RESOURCES", "TRIPLANE", "TRIVIAL", "RATIO", "AT MOST", ""):
        table.add_column(heading, justify="left" if heading == "WHAT" else "right")
    for pair in pairs:
        verdict = "ok" if pair.ratio <= cpu.AT_MOST else "too slow"
        own, trivial = (f"{median(taken):.1f} s" for taken in (pair.program, pair.trivial))
        table.add_row(pair.what, str(pair.resources), own, trivial, f"{pair.ratio:.2f}", f"{cpu.AT_MOST}", verdict)
    out.print(table)
    for hosts, seconds in previews.items():
        out.print(f"preview of {hosts} hosts: {seconds:.1f} s of CPU, {seconds / hosts:.2f} s a host", highlight=False)
