"""The Pulumi engine: the installed one if it fits, else upstream's release, else a build."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from toolchain.build_cache import Build
from toolchain.builder import build, cached, take_release
from toolchain.programs import PROGRAMS, PULUMI_RELEASE
from toolchain.progress import Listener, ignore
from toolchain.upstream import Mode, Upstream

_ENGINE = PROGRAMS["pulumi"]
_LANGUAGE = PROGRAMS["pulumi-language-python"]
_BUILT = (_ENGINE, _LANGUAGE)
_NEEDED = ("pulumi-language-python", "pulumi-language-python-exec")


def engine(
    *,
    on_progress: Listener = ignore,
    upstream: Upstream | None = None,
    path: str | None = None,
    cache: Path | None = None,
) -> dict[str, Path]:
    """Return name → file of the programs that must be on PATH together: `pulumi` and its language host for Python."""
    upstream = upstream or Upstream.from_environment()
    return (
        at_hand(mode=upstream.mode, path=path, cache=cache)
        or _files([take_release(PULUMI_RELEASE, on_progress=on_progress, upstream=upstream, cache=cache)])
        or _files([build(program, on_progress=on_progress, upstream=upstream, cache=cache) for program in _BUILT])
    )


def at_hand(*, mode: Mode = Mode.PROBE, path: str | None = None, cache: Path | None = None) -> dict[str, Path]:
    """Return the same as `engine`, if it is already on this machine; empty if it must be made."""
    return (
        installed(path)
        or _files([cached(PULUMI_RELEASE, mode=mode, cache=cache)])
        or (_files([cached(program, mode=mode, cache=cache) for program in _BUILT]) if mode is not Mode.FETCH else {})
    )


def _files(builds: list[Build | None]) -> dict[str, Path]:
    """Name → file of all builds; empty if one is missing."""
    made = [build for build in builds if build]
    return {name: one.path(name) for one in made for name in one.sha256} if len(made) == len(builds) else {}


def installed(path: str | None = None) -> dict[str, Path]:
    """Find the engine on PATH, with its language host, if it is not older than the pinned one; else empty."""
    found = shutil.which("pulumi", path=path)
    if not found:
        return {}
    binary = Path(found).resolve()
    beside = {name: binary.with_name(name) for name in ("pulumi", *_LANGUAGE.binaries)}
    complete = all(os.access(beside[name], os.X_OK) for name in _NEEDED)
    version = _version(binary)
    oldest = _parse(_ENGINE.versions[0])
    if not (complete and version and oldest and version[0] == oldest[0] and version >= oldest):
        return {}
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
