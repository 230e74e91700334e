"""The official provider plugins, downloaded by the engine's own `pulumi plugin install`.

Neither the engine nor the launcher checks a plugin's digest: TLS shows that it comes from upstream. The plugins are
in the user's own plugin folder, where a Pulumi program for a real account finds them too.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version as installed_version
from pathlib import Path

from lab import plugins
from launcher.engine import FOREIGN
from launcher.errors import LauncherError
from toolchain import Upstream, host_arch

_SERVER = "https://get.pulumi.com/releases/plugins"
_MB = 1_000_000
_LOOK_SECONDS = 0.5

Said = Callable[[str, str], None]
"""Called with a plugin and its progress."""


def plugin_folder(name: str) -> str:
    """Name the folder in which the engine looks for the plugin that the installed SDK needs."""
    return f"resource-{name}-v{installed_version(f'pulumi-{name}')}"


def missing(folder: Path) -> list[str]:
    """List the plugins that an engine's plugin folder lacks; the engine marks an unfinished one."""
    return [
        name
        for name in plugins.PLUGINS
        if not (folder / plugin_folder(name)).is_dir() or (folder / f"{plugin_folder(name)}.partial").exists()
    ]


def addresses(names: Iterable[str] = plugins.PLUGINS) -> list[str]:
    """List the plugins' addresses; the engine tries their repositories' releases first, and then this server."""
    return [
        f"{_SERVER}/pulumi-resource-{name}-v{installed_version(f'pulumi-{name}')}-linux-{host_arch()}.tar.gz"
        for name in names
    ]


def install(pulumi: Path, home: Path, upstream: Upstream, said: Said) -> None:
    """Install all of them in the engine's home folder, in the SDKs' versions. Raises LauncherError."""
    for name in missing(home / "plugins"):
        try:
            _install(pulumi, name, home, upstream, said)
        except OSError as problem:
            where = f" ({problem.filename})" if problem.filename else ""
            raise LauncherError(f"the official plugin {name} is not downloaded: {problem.strerror}{where}") from problem


def _install(pulumi: Path, name: str, home: Path, upstream: Upstream, said: Said) -> None:
    version = installed_version(f"pulumi-{name}")
    task = f"{name} {version}"
    # The engine downloads into the folder for temporary files, so the folder's size shows the progress.
    with tempfile.TemporaryDirectory(prefix="triplane-plugin-") as scratch:
        output = Path(scratch) / ".output"
        with output.open("w") as stream:
            process = subprocess.Popen(
                [pulumi, "plugin", "install", "resource", name, version, "--exact", "--non-interactive"],
                cwd=scratch,
                env=_environment(os.environ, home, Path(scratch), upstream),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
            try:
                stalled = _watched(
                    process,
                    (Path(scratch), home / "plugins" / plugin_folder(name)),
                    upstream,
                    lambda text: said(task, text),
                )
            finally:
                process.kill()
                process.wait()
        if stalled:
            raise LauncherError(f"the official plugin {task} is not downloaded: it stalls")
        if process.returncode:
            lines = [line.strip() for line in output.read_text().splitlines() if line.strip()]
            why = lines[-1] if lines else f"pulumi ended with exit code {process.returncode}"
            raise LauncherError(f"the official plugin {task} is not downloaded: {why}")


def _environment(inherited: Mapping[str, str], home: Path, scratch: Path, upstream: Upstream) -> dict[str, str]:
    kept = {name: value for name, value in inherited.items() if not name.startswith(FOREIGN)}
    mirror = {"PULUMI_PLUGIN_DOWNLOAD_URL_OVERRIDES": f".*={upstream.address(_SERVER)}"} if upstream.mirror else {}
    return kept | {
        "PULUMI_BACKEND_URL": f"file://{scratch}",
        "PULUMI_DISABLE_REGISTRY_RESOLVE": "true",  # the four names need no look-up
        "PULUMI_HOME": str(home),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "TMPDIR": str(scratch),
        **mirror,
    }


def _watched(
    process: subprocess.Popen[bytes], folders: Iterable[Path], upstream: Upstream, said: Callable[[str], None]
) -> bool:
    """Wait for the end of the process. Return True if the download stalls first."""
    limits = upstream.limits
    said("downloading")
    since, before = time.monotonic(), 0
    while True:
        try:
            process.wait(min(_LOOK_SECONDS, limits.stall))
        except subprocess.TimeoutExpired:
            pass
        else:
            return False
        now, size = time.monotonic(), sum(_size(folder) for folder in folders)
        said(f"downloading and unpacking, {size // _MB} MB on disk")
        if now - since >= limits.stall:
            if abs(size - before) < limits.rate * (now - since):
                return True
            since, before = now, size


def _size(folder: Path) -> int:
    """Count a folder's bytes; files may appear and disappear meanwhile."""
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_size
        except OSError:
            continue
    return total
