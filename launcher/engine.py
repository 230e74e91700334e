"""Runs of the engine: its environment, and how Ctrl-C reaches it."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from launcher import files
from launcher.context import become
from launcher.errors import LauncherError
from launcher.report import Report
from launcher.workspace import Workspace

FOREIGN = ("DIGITALOCEAN_", "CLOUDFLARE_", "SPACES_", "PULUMI_", "SSH_AUTH_SOCK")
"""Variables of the user's other work. A real account's token must not reach the lab, and this stack must not reach
another backend. The lab needs no SSH agent, and an agent that does not answer fails every step."""

OURS = frozenset({"PULUMI_STACK", "PULUMI_PARALLEL", "PULUMI_OPTION_COLOR"})
"""The exceptions: variables that only set options, or choose one of the lab's stacks."""

LINES_OF_AN_ERROR = 40


def environment(
    workspace: Workspace, inherited: Mapping[str, str], *, official_plugins: bool, stack: str | None = None
) -> dict[str, str]:
    """Compose the environment of the engine, its language host and the providers."""
    kept = {name: value for name, value in inherited.items() if name in OURS or not name.startswith(FOREIGN)}
    direct = [str(workspace.lab.services), *filter(None, [inherited.get("NO_PROXY") or inherited.get("no_proxy")])]
    return kept | {
        # The language host uses the first python on PATH, even if Pulumi.yaml names a virtual environment.
        "PATH": f"{workspace.venv}:{workspace.bin}:{inherited.get('PATH', os.defpath)}",
        "NO_PROXY": ",".join(direct),
        "no_proxy": ",".join(direct),
        # The engine writes the whole state twice for each resource: that is half of an `up`'s CPU time on this machine.
        "GOGC": inherited.get("GOGC", "400"),
        # Steps wait for hosts and use no processor here; the engine's own limit is four times the processors.
        "PULUMI_PARALLEL": inherited.get("PULUMI_PARALLEL", "64"),
        "PULUMI_BACKEND_URL": backend(workspace.state),
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(workspace.passphrase),
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "false" if official_plugins else "true",
        "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",  # every step would copy the whole state once more
        "PULUMI_HOME": str(workspace.pulumi_home),
        "PULUMI_IGNORE_AMBIENT_PLUGINS": "false",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_STACK": stack or kept.get("PULUMI_STACK", workspace.stack),
    }


def backend(folder: Path) -> str:
    """URL of a backend in a folder, without checksum files, which Pulumi does not read."""
    return f"file://{folder}?metadata=skip"


def make_passphrase(workspace: Workspace) -> None:
    """Make a random passphrase, once; without it an existing state can no longer be read."""
    if workspace.passphrase.exists():
        return
    states = workspace.state / ".pulumi" / "stacks"
    if any(states.glob("*/*.json")):
        raise LauncherError(
            f"{workspace.passphrase} is gone, and the state in {workspace.state} cannot be read without it; "
            "put it back, or start afresh with ./triplane down"
        )
    files.write(workspace.passphrase, secrets.token_urlsafe(32) + "\n")


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """Pulumi, on one stack of this workspace."""

    workspace: Workspace
    report: Report
    official_plugins: bool
    wrapper: tuple[str, ...] = ()
    """Words before the command line, which make the lab's names resolve."""

    def environment(self, stack: str | None = None) -> dict[str, str]:
        """See `environment` above."""
        return environment(self.workspace, os.environ, official_plugins=self.official_plugins, stack=stack)

    def command(self, arguments: Sequence[str]) -> list[str]:
        """Compose the whole command line, for any working directory."""
        pulumi = str(self.workspace.bin / "pulumi")
        return [*self.wrapper, pulumi, "--cwd", str(self.workspace.directory), *arguments]

    def capture(self, *arguments: str, stack: str | None = None, stdin: str | None = None) -> str:
        """Run to the end and return standard output; `stdin` is for secrets."""
        done = subprocess.run(
            self.command([*arguments, "--non-interactive"]),
            env=self.environment(stack),
            input=stdin or "",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            said = "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-LINES_OF_AN_ERROR:])
            raise LauncherError(f"pulumi {' '.join(arguments[:2])} failed:\n{said}")
        return done.stdout

    def run(self, *arguments: str, extra: Mapping[str, str] | None = None) -> Outcome:
        """Run with its output shown."""
        return run_stoppable(self.command(arguments), env=self.environment() | dict(extra or {}), report=self.report)

    def become(self, arguments: Sequence[str]) -> NoReturn:
        """Replace this process with the engine: it gets the terminal and its keys, and gives the exit code."""
        become(self.command(arguments), self.environment())


@dataclass(slots=True)
class Outcome:
    """Result of a run."""

    code: int = 0
    stopped: bool = False
    """True if the user asked it to stop."""


def at_terminal() -> bool:
    """True if this process has the terminal's foreground."""
    return sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()


@contextmanager
def forwarding(
    process: subprocess.Popen[bytes], outcome: Outcome, report: Report, *, heard: Container[int] = ()
) -> Iterator[None]:
    """Send each Ctrl-C, SIGTERM or SIGHUP to `process`, and to no other process, as one SIGINT.

    The engine finishes its running steps after the first and cuts them off after the second. Its plugins must receive
    neither: they are needed until the last step has ended. Signals in `heard` reach the process without the launcher.
    """

    def forward(number: int, _frame: FrameType | None) -> None:
        if not outcome.stopped:
            report.warn("stopping: the steps under way are finished first (once more to cut them off)")
        outcome.stopped = True
        if number not in heard:
            process.send_signal(signal.SIGINT)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_stoppable(command: Sequence[str], *, env: Mapping[str, str], report: Report) -> Outcome:
    """Run a command that needs time to stop well.

    At a terminal, the kernel sends Ctrl-C to the command and to the launcher. Elsewhere the command has a session of
    its own: signals to the launcher's process group do not reach it, and the launcher forwards those that it needs. If
    the launcher is killed, the kernel sends the command a SIGINT (prctl(2), PR_SET_PDEATHSIG): nobody would see what it
    does after that.
    """
    outcome = Outcome()
    terminal = at_terminal()
    with (
        subprocess.Popen(
            ["setpriv", "--pdeathsig=INT", *command],
            env=dict(env),
            stdin=None if terminal else subprocess.DEVNULL,
            start_new_session=not terminal,
        ) as process,
        forwarding(process, outcome, report, heard={signal.SIGINT} if terminal else ()),
    ):
        outcome.code = process.wait()
    return outcome
