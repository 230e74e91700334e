"""The Pulumi engine: the one that is installed, if it fits, else one that is built."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from lab.toolchain.builder import build
from lab.toolchain.programs import PROGRAMS
from lab.toolchain.progress import Listener, ignore

_ENGINE = PROGRAMS["pulumi"]
_LANGUAGE = PROGRAMS["pulumi-language-python"]
_NEEDED = ("pulumi-language-python", "pulumi-language-python-exec")


def engine(*, on_progress: Listener = ignore, path: str | None = None, cache: Path | None = None) -> dict[str, Path]:
    """Return name → file of all that must be on PATH together: `pulumi` and what runs Python programs for it."""
    return installed(path) or {
        name: result.path(name)
        for program in (_ENGINE, _LANGUAGE)
        for result in [build(program, on_progress=on_progress, cache=cache)]
        for name in program.binaries
    }


def installed(path: str | None = None) -> dict[str, Path] | None:
    """Find the engine on PATH, if it is as new as the one we would build, with the language host that came with it."""
    found = shutil.which("pulumi", path=path)
    if not found:
        return None
    binary = Path(found).resolve()
    beside = {name: binary.with_name(name) for name in ("pulumi", *_LANGUAGE.binaries)}
    complete = all(os.access(beside[name], os.X_OK) for name in _NEEDED)
    version = _version(binary)
    oldest = _parse(_ENGINE.versions[0])
    if not (complete and version and oldest and version[0] == oldest[0] and version >= oldest):
        return None
    return {name: file for name, file in beside.items() if os.access(file, os.X_OK)}


def _version(binary: Path) -> tuple[int, ...] | None:
    environment = os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        result = subprocess.run(
            [binary, "version"], capture_output=True, text=True, timeout=30, check=True, env=environment
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return _parse(result.stdout.strip())


def _parse(text: str) -> tuple[int, ...] | None:
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text)
    return tuple(int(part) for part in found.groups()) if found else None
