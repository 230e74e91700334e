"""Upstream's conformance specs, run against the lab's cluster by upstream's own test program."""

from __future__ import annotations

import re
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import toolchain
from lab import oci
from lab.hosts import operator
from lab.interfaces import MachineError
from lab.oci.testing import Workshop
from launcher.conformance import specs, suite
from launcher.conformance.specs import Selection, State
from launcher.conformance.suite import Suite
from launcher.context import Context
from launcher.errors import InterruptedByUserError, LauncherError, MistakeError
from launcher.live import cluster, kubectl_command
from launcher.report import Progress, console

_TASK = "conformance"
_OURS = "e2e-run"
"""The label of every namespace that upstream's tests make."""

_POLITE_SECONDS = 60.0
_LOOK_SECONDS = 2.0


def conformance(context: Context, *, focus: str, parallel: int, listing: bool) -> int:
    """Run the specs, or list them; return 1 if one failed."""
    try:
        re.compile(focus)
    except re.error as error:
        raise MistakeError(f"--focus {focus!r} is not a regular expression: {error}") from error
    context.workspace.prepare()
    if not listing:
        cluster(context)
    chosen = specs.selection()
    tests = Suite(build=_built(context), directory=_directory(context))
    tests.plan(chosen, focus)
    planned = specs.read(tests.directory / suite.PLAN)
    wanted = [spec for spec in planned if spec.state is State.PASSED]  # a dry run's state of specs that would run
    if not wanted:
        raise MistakeError(f"no spec is left: nothing in {' '.join(chosen.groups)} has a name like {focus!r}")
    if listing:
        return _list(planned, chosen)
    _publish(context, tests)
    _run(context, tests, chosen, focus=focus, parallel=parallel, total=len(wanted))
    return _show(context, tests, chosen)


def _built(context: Context) -> toolchain.Build:
    """Provide the test program of the cluster's Kubernetes version."""
    version = context.preparation.kubernetes()
    if toolchain.cached("kubernetes-e2e", version) is None:
        context.report.say(f"making upstream's test program {version}: a quarter of an hour, once")
    return context.preparation.built("kubernetes-e2e", version)


def _directory(context: Context) -> Path:
    directory = context.workspace.directory / "conformance" / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    directory.mkdir(parents=True)
    return directory


def _list(planned: list[specs.Spec], chosen: Selection) -> int:
    for spec in planned:
        exclusion = chosen.excluded(spec.name)
        if spec.state is State.PASSED:
            print(spec.name)
        elif exclusion and spec.group in chosen.groups:
            print(f"{spec.name}  (skipped: {exclusion.why})")
    return 0


def _publish(context: Context, tests: Suite) -> None:
    """Put the tests' images into the mirror, as far as the lab can make them."""
    progress = context.report.progress()
    workshop = Workshop(
        folder=context.workspace.lab.rootfs_dir,
        say=lambda line: progress.update("images", line),
        programs=context.preparation.built("kubernetes-images", context.preparation.kubernetes()),
        tests=tests.build,
    )
    store = oci.Stores.of(context.workspace.lab.mirror).built
    try:
        with progress.shown():
            workshop.publish(store, tests.images())
    except MachineError as error:
        raise LauncherError(str(error)) from error


def _run(context: Context, tests: Suite, chosen: Selection, *, focus: str, parallel: int, total: int) -> None:
    """Run the specs to their end, and remove all their namespaces."""
    workspace = context.workspace
    kubectl = kubectl_command(context)  # writes the kubeconfig, too
    arguments = [
        f"--kubeconfig={workspace.kubeconfig}",
        f"--kubectl-path={workspace.bin / 'kubectl'}",
        "--provider=skeleton",
        "--disable-log-dump",
    ]
    context.report.say(f"running {total} specs, {parallel} at a time; reports: {tests.directory}")
    running = tests.running(
        chosen, focus, arguments, parallel=parallel, wrap=lambda command: operator.command(workspace.lab, command)
    )
    try:
        with running as process:
            _wait(context, process, tests, total)
        tests.check()
    except KeyboardInterrupt:
        if tests.has_report():
            _show(context, tests, chosen)
        raise InterruptedByUserError(f"stopped; all that the specs said so far is in {tests.directory}") from None
    finally:
        _sweep(context, kubectl)


def _wait(context: Context, process: subprocess.Popen[bytes], tests: Suite, total: int) -> None:
    """Wait for the tests. After Ctrl-C they have time to remove what they made; after a second one they do not."""
    try:
        with context.report.progress().shown() as shown:
            _follow(context, process, tests, total, shown)
    except KeyboardInterrupt:
        context.report.say("stopping: specs under way remove what they made; Ctrl-C again does not wait for that")
        suite.stop(process, signal.SIGINT)
        try:
            process.wait(timeout=_POLITE_SECONDS)
        except subprocess.TimeoutExpired:
            context.report.say(f"they have not ended after {_POLITE_SECONDS:.0f} s: they are killed")
        raise


def _follow(context: Context, process: subprocess.Popen[bytes], tests: Suite, total: int, shown: Progress) -> None:
    """Show the progress of the tests until they end."""
    told = 0
    while True:
        now = suite.progress((tests.directory / suite.LOG).read_text(errors="replace"))
        for name in now.failed[told:]:
            context.report.warn(f"failed: {name}")
        told = len(now.failed)
        shown.update(_TASK, f"{now.ended} of {total} specs have ended, {told} of them failed")
        try:
            process.wait(timeout=_LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return


def _sweep(context: Context, kubectl: list[str]) -> None:
    """Delete the namespaces of interrupted tests."""
    ask = [*kubectl, "get", "namespaces", f"--selector={_OURS}", "--output=name"]
    found = subprocess.run(ask, capture_output=True, text=True, check=False)
    if not found.stdout.strip():
        return
    context.report.say(f"deleting {len(found.stdout.split())} namespaces that the tests left")
    delete = [*kubectl, "delete", "namespaces", f"--selector={_OURS}", "--timeout=180s"]
    deleted = subprocess.run(delete, capture_output=True, text=True, check=False)
    if deleted.returncode:
        context.report.warn(
            f"not all are deleted: {deleted.stderr.strip()}; "
            f"./triplane kubectl delete namespaces --selector={_OURS} tries again"
        )


def _show(context: Context, tests: Suite, chosen: Selection) -> int:
    report = tests.directory / suite.REPORT
    found = specs.read(report)
    console().print(specs.render(found, chosen), highlight=False)
    context.report.say(f"reports (JUnit, JSON, log): {tests.directory}")
    broken = specs.suite_failures(report)
    for failure in broken:
        context.report.warn(failure)
    return 1 if broken or any(spec.state in {State.FAILED, State.INTERRUPTED} for spec in found) else 0
