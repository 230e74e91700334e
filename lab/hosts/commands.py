"""Running the system's programs, with errors that say which step failed, and why."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence

from lab.interfaces import MachineError


def run(step: str, *argv: str, stdin: str | None = None, timeout: float = 60) -> str:
    """Run a program to its end and return what it printed; a failure is a `MachineError` that names `step`."""
    try:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, timeout=timeout, check=False, env=environment()
        )
    except FileNotFoundError as error:
        raise MachineError(f"{step}: the program {argv[0]!r} is not installed; {remedy(argv[0])}") from error
    except subprocess.TimeoutExpired as error:
        raise MachineError(f"{step}: `{shlex.join(argv)}` did not end within {timeout:.0f} s") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
        raise MachineError(f"{step}: `{shlex.join(argv)}` ended with {done.returncode}: {' / '.join(said[-3:])}")
    return done.stdout


_ROOTS_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"

PACKAGES = {
    "ip": "iproute2",
    "nft": "nftables",
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
}
"""Debian packages of the programs that hosts and the engine's runs need."""


def remedy(program: str) -> str:
    """Say what to type when a program is missing."""
    return f"`apt-get install {PACKAGES.get(program, program)}` brings it"


def missing(programs: Sequence[str] = tuple(PACKAGES)) -> list[str]:
    """List the programs that are not installed."""
    return [program for program in programs if shutil.which(program, path=environment()["PATH"]) is None]


def environment() -> dict[str, str]:
    """Return the environment for the system's programs: also root's folders in PATH, and messages in English."""
    return {**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}:{_ROOTS_FOLDERS}", "LC_ALL": "C"}
