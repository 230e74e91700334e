"""CPU time on the operator's side: the program, compared with a program that has as many trivial resources.

The trivial program shows the cost of Pulumi itself: the engine, its language host, a provider plugin and the state.
Measurements vary, CPU time less than clock time: each pair is measured one after the other, and medians are compared.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from tempfile import TemporaryDirectory

import yaml

from launcher import stacks
from launcher.engine import Engine, backend
from launcher.errors import LauncherError

PAIRS = 3
AT_MOST = 1.4
"""Limit, as a multiple of the trivial program's CPU time."""
HOSTS = (9, 30, 100)
"""Numbers of hosts: previews of them show that the cost per host stays the same."""
PROD = "prod"
UP = ("up", "--yes", "--skip-preview", "--non-interactive")
PREVIEW = ("preview", "--non-interactive")

PROJECT = """\
name: trivial
runtime: python
"""
PROGRAM = """\
import pulumi
import pulumi_tls as tls

for number in range(pulumi.Config().require_int("count")):
    tls.PrivateKey(f"key-{number}", algorithm="ED25519")
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One kind of run, of both programs; CPU time in seconds, one number for each measurement."""

    what: str
    resources: int
    program: list[float] = field(default_factory=list)
    trivial: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Median of the program, divided by that of the trivial program."""
        return median(self.program) / median(self.trivial)


def pairs(engine: Engine) -> list[Pair]:
    """Measure an `up` with nothing to do and a preview of prod; the lab's stack must be up, and prod's must exist.

    Raises LauncherError if a run fails.
    """
    workspace = engine.workspace
    count = len(stacks.checkpoint(workspace, workspace.stack).get("resources") or [])
    planned = json.loads(engine.capture("preview", "--json", "--stack", PROD))["changeSummary"]["create"]
    nothing, preview = (
        Pair(what="up with nothing to do", resources=count),
        Pair(what="preview of prod", resources=planned),
    )
    with trivial(engine) as made:
        made.stack("up", count)
        made.run("up", UP)
        made.stack("preview", planned)
        for _ in range(PAIRS):
            nothing.program.append(cpu_seconds(engine.command(UP), engine.environment()))
            nothing.trivial.append(made.run("up", UP))
            preview.program.append(cpu_seconds(engine.command(PREVIEW), engine.environment(PROD)))
            preview.trivial.append(made.run("preview", PREVIEW))
    return [nothing, preview]


def previews(engine: Engine) -> dict[int, float]:
    """Measure previews of prod with more and more nodes: hosts → CPU time in seconds."""
    file = engine.workspace.directory / f"Pulumi.{PROD}.yaml"
    content = yaml.safe_load(file.read_text())
    *others, nodes = content["config"]["triplane:pools"]
    taken = {}
    with TemporaryDirectory(prefix="triplane-bench-") as folder:
        for hosts in HOSTS:
            nodes["count"] = hosts - sum(pool["count"] for pool in others)
            changed = Path(folder, f"{hosts}.yaml")
            changed.write_text(yaml.safe_dump(content))
            command = engine.command((*PREVIEW, "--config-file", str(changed)))
            taken[hosts] = cpu_seconds(command, engine.environment(PROD))
    return taken


def cpu_seconds(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Run a command; return the CPU time of all its processes, in seconds. Raises LauncherError if it fails."""
    before = getrusage(RUSAGE_CHILDREN)
    done = subprocess.run(
        command, env=dict(environment), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    after = getrusage(RUSAGE_CHILDREN)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-10:])
        raise LauncherError(f"the measured run failed: {' '.join(command)}\n{tail}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@dataclass(frozen=True, kw_only=True, slots=True)
class Trivial:
    """The trivial program, with its own folder and backend."""

    folder: Path
    engine: Engine

    def stack(self, name: str, count: int) -> None:
        """Make a stack of this many resources."""
        self.run(name, ("stack", "init", name, "--non-interactive"))
        self.run(name, ("config", "set", "count", str(count), "--non-interactive"))

    def run(self, stack: str, arguments: Sequence[str]) -> float:
        """Run the engine on it; return the CPU time in seconds."""
        command = self.engine.command(["--cwd", str(self.folder), *arguments])  # the last --cwd counts
        own = {"PULUMI_BACKEND_URL": backend(self.folder)}
        return cpu_seconds(command, self.engine.environment(stack) | own)


@contextmanager
def trivial(engine: Engine) -> Iterator[Trivial]:
    """Write the trivial program, and remove it at the end."""
    with TemporaryDirectory(prefix="triplane-bench-") as folder:
        Path(folder, "Pulumi.yaml").write_text(PROJECT)
        Path(folder, "__main__.py").write_text(PROGRAM)
        yield Trivial(folder=Path(folder), engine=engine)
