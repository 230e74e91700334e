"""Run of upstream's test binary: its command line, its progress, and its end, also an early one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from launcher.conformance.specs import Selection
from launcher.errors import LauncherError
from toolchain import Build

PLAN = "plan.json"
REPORT = "report.json"
JUNIT = "junit.xml"
LOG = "e2e.log"

_TIMEOUT = "6h"
_TAIL = 15


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """The tests of one Kubernetes version."""

    build: Build
    """Build of kubernetes-e2e."""
    directory: Path
    """Directory of the reports."""

    def images(self) -> set[str]:
        """All images that any of the tests may use."""
        command = [str(self.build.path("e2e.test")), "--list-images"]
        said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=self.directory).stdout
        return set(said.split())

    def plan(self, chosen: Selection, focus: str) -> None:
        """Write a report of the specs that would run, without a cluster."""
        log = self.directory / LOG
        command = self._ginkgo(
            chosen, focus, ["--dry-run", f"--json-report={PLAN}"], ["--kubeconfig=/dev/null", "--provider=skeleton"]
        )
        with log.open("w") as output:
            ran = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, cwd=self.directory, check=False)
        if ran.returncode:
            raise self._failed("cannot list its specs")

    @contextmanager
    def running(
        self,
        chosen: Selection,
        focus: str,
        arguments: Sequence[str],
        *,
        parallel: int,
        wrap: Callable[[list[str]], list[str]],
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run the specs in a process group of their own; `arguments` are for the test binary."""
        flags = [f"--procs={parallel}", f"--json-report={REPORT}", f"--junit-report={JUNIT}"]
        command = wrap(self._ginkgo(chosen, focus, flags, arguments))
        with (
            (self.directory / LOG).open("wb") as output,
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                process_group=0,
            ) as process,
        ):
            try:
                yield process
            finally:
                stop(process, signal.SIGKILL)

    def has_report(self) -> bool:
        """True if the tests ended, or were stopped, and wrote a report."""
        return (self.directory / REPORT).exists()

    def check(self) -> None:
        """Raise an error if the tests ended without a report."""
        if not self.has_report():
            raise self._failed("ended without a report")

    def _ginkgo(self, chosen: Selection, focus: str, flags: Sequence[str], arguments: Sequence[str]) -> list[str]:
        return [
            str(self.build.path("ginkgo")),
            "run",
            "--no-color",
            "--silence-skips",
            f"--timeout={_TIMEOUT}",
            f"--output-dir={self.directory}",
            f"--label-filter={chosen.label_filter}",
            *([f"--focus={focus}"] if focus else []),
            *(f"--skip={exclusion.pattern}" for exclusion in chosen.exclusions),
            *flags,
            str(self.build.path("e2e.test")),
            "--",
            *arguments,
        ]

    def _failed(self, what: str) -> LauncherError:
        log = self.directory / LOG
        tail = "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-_TAIL:])
        return LauncherError(f"upstream's test program {what}; all it said is in {log}, the last of it:\n{tail}")


def stop(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """Send a signal to a running process, and to its children."""
    if process.poll() is None:
        os.killpg(process.pid, how)


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Progress of a run."""

    ended: int
    failed: tuple[str, ...]
    """Names of specs."""


def progress(log: str) -> Progress:
    """Read the progress from Ginkgo's output: a bullet for each spec that ended, and more for each that failed.

    The tests' own --progress-report-url reports nothing when they run in parallel.
    """
    return Progress(
        ended=sum(len(bullets) for bullets in re.findall(r"^•+", log, re.MULTILINE)),
        failed=tuple(re.findall(r"^• \[(?:FAILED|PANICKED|TIMEDOUT)\].*\n(.+)$", log, re.MULTILINE)),
    )
