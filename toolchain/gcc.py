"""Build of a program that is one C file."""

from __future__ import annotations

import subprocess
from pathlib import Path

from toolchain.errors import failure

_COMMAND = ("gcc", "-Os", "-static", "-s", "-Wl,--build-id=none")


def build(source: Path, target: Path, *, what: str) -> None:
    """Compile and link a static binary; the same source gives the same binary."""
    try:
        command = [*_COMMAND, "-o", str(target), source.name]  # a full path would be in the binary
        ran = subprocess.run(command, cwd=source.parent, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise failure(what, "compiling C", ['exec: "gcc": executable file not found']) from None
    if ran.returncode:
        raise failure(what, "compiling C", ran.stderr.splitlines())
