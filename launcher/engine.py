"""Running the engine: with which environment, and how Ctrl-C reaches it."""

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
from launcher.errors import LauncherError
from launcher.report import Report
from launcher.workspace import Workspace

FOREIGN = ("DIGITALOCEAN_", "CLOUDFLARE_", "SPACES_", "PULUMI_", "SSH_AUTH_SOCK")
"""Variables of the user's other work. A real account's token must not reach the lab, nor this stack another backend; an
SSH agent is of no use to the lab, and one that is gone stops every step."""

OURS = frozenset({"PULUMI_STACK", "PULUMI_PARALLEL", "PULUMI_OPTION_COLOR"})
"""The exceptions: what only says how, or on which stack of ours."""

LINES_OF_AN_ERROR = 40


def environment(
    workspace: Workspace, inherited: Mapping[str, str], *, official_plugins: bool, stack: str | None = None
) -> dict[str, str]:
    """Compose what the engine, its language host and the providers run with."""
    kept = {name: value for name, value in inherited.items() if name in OURS or not name.startswith(FOREIGN)}
    direct = [str(workspace.lab.services), *filter(None, [inherited.get("NO_PROXY") or inherited.get("no_proxy")])]
    return kept | {
        # The language host takes the first python on PATH, whatever Pulumi.yaml says of a virtual environment.
        "PATH": f"{workspace.venv}:{workspace.bin}:{inherited.get('PATH', os.defpath)}",
        "NO_PROXY": ",".join(direct),
        "no_proxy": ",".join(direct),
        # The state is written whole, twice for each resource, and half of what an `up` costs on this side is that.
        "GOGC": inherited.get("GOGC", "400"),
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
    """URL of a backend in a folder; without the checksum beside each file, which Pulumi does not read."""
    return f"file://{folder}?metadata=skip"


def make_passphrase(workspace: Workspace) -> None:
    """Make a random passphrase, once; without it a state that exists cannot be read any more."""
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
    """Put before the command line: what makes the lab's names resolve."""

    def environment(self, stack: str | None = None) -> dict[str, str]:
        """See `environment` above."""
        return environment(self.workspace, os.environ, official_plugins=self.official_plugins, stack=stack)

    def command(self, arguments: Sequence[str]) -> list[str]:
        """Compose the whole command line, for any working directory."""
        pulumi = str(self.workspace.bin / "pulumi")
        return [*self.wrapper, pulumi, "--cwd", str(self.workspace.directory), *arguments]

    def capture(self, *arguments: str, stack: str | None = None, stdin: str | None = None) -> str:
        """Run to the end and return standard output; `stdin` is the way in for secrets."""
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
        """Put the engine in this process's place: the terminal, its keys and the exit code are the engine's own."""
        command = self.command(arguments)
        os.execvpe(command[0], command, self.environment())  # noqa: S606 - no shell is wanted


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
    """Each Ctrl-C (or polite kill) reaches `process`, and that one alone, as one SIGINT.

    The engine ends its running steps at the first and cuts them off at the second. Its plugins must hear neither:
    they are needed until the last step has ended. Signals in `heard` reach the process without us.
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

    At a terminal it has the terminal, whose Ctrl-C the kernel brings to it and to us alike. Elsewhere it has a session
    of its own, which keeps signals to our process group from its, and we pass on what it should hear.
    """
    outcome = Outcome()
    terminal = at_terminal()
    with (
        subprocess.Popen(
            command, env=dict(env), stdin=None if terminal else subprocess.DEVNULL, start_new_session=not terminal
        ) as process,
        forwarding(process, outcome, report, heard={signal.SIGINT} if terminal else ()),
    ):
        outcome.code = process.wait()
    return outcome
