"""The judge from outside: what is chosen, how it is run, stopped and read; the specs themselves run elsewhere."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from launcher.conformance import specs, suite
from launcher.conformance.specs import Exclusion, Selection, State
from launcher.conformance.suite import Suite
from launcher.errors import LauncherError
from launcher.report import console
from tests.waiting import wait_for
from toolchain import Build

CHOSEN = Selection(
    groups=("sig-apps", "sig-node"), exclusions=(Exclusion(pattern=r"needs \[Zebra\]", why="there is no zebra image"),)
)


def entry(name: str, state: str, message: str = "", kind: str = "It", seconds: float = 30.0) -> dict[str, Any]:
    """A spec as Ginkgo reports it."""
    group, _, leaf = name.partition(" ")
    return {
        "ContainerHierarchyTexts": [group],
        "LeafNodeType": kind,
        "LeafNodeText": leaf,
        "State": state,
        "RunTime": seconds * 1e9,
    } | ({"Failure": {"Message": message}} if message else {})


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A run in which everything happened that can."""
    entries = [
        entry("[sig-node] runs", "passed"),
        entry("[sig-node] breaks", "failed", "it is broken\n\nvery much"),
        entry("[sig-apps] panics", "panicked", "nil"),
        entry("[sig-apps] is cut off", "interrupted", "by the user"),
        entry("[sig-apps] does not apply", "skipped", "requires Windows", seconds=0),
        entry("[sig-apps] needs [Zebra]", "skipped", seconds=0),
        entry("[sig-storage] is none of ours", "skipped", seconds=0),
        entry(" ", "failed", "the cluster is not whole", kind="SynchronizedBeforeSuite"),
    ]
    path = tmp_path / "report.json"
    path.write_text(json.dumps([{"SpecReports": entries}]))
    return path


def test_what_became_of_each_spec_is_read(report: Path) -> None:
    found = {spec.name: spec.state for spec in specs.read(report)}
    assert found == {
        "[sig-node] runs": State.PASSED,
        "[sig-node] breaks": State.FAILED,
        "[sig-apps] panics": State.FAILED,
        "[sig-apps] is cut off": State.INTERRUPTED,
        "[sig-apps] does not apply": State.SKIPPED,
        "[sig-apps] needs [Zebra]": State.NOT_RUN,
        "[sig-storage] is none of ours": State.NOT_RUN,
    }
    assert specs.suite_failures(report) == ["SynchronizedBeforeSuite: the cluster is not whole"]


def test_the_summary_counts_each_group_and_explains_the_skips(report: Path) -> None:
    out = console()
    with out.capture() as captured:
        out.print(specs.render(specs.read(report), CHOSEN), highlight=False)
    said = captured.get()
    lines = [line.split() for line in said.splitlines()]
    assert ["sig-apps", "0", "2", "2", "1"] in lines
    assert ["sig-node", "1", "1", "0", "1"] in lines
    assert ["all", "1", "3", "2", "2"] in lines
    assert re.search(r"needs \[Zebra\] +there is no zebra image", said)
    assert re.search(r"does not apply +says itself: requires Windows", said)
    assert "[sig-node] breaks\n    it is broken\n    very much" in said
    assert "none of ours" not in said


def test_the_selection_that_comes_with_the_launcher_is_one() -> None:
    chosen = specs.selection()
    assert chosen.label_filter == "Conformance && (sig-apps || sig-auth || sig-network || sig-node || sig-scheduling)"
    for exclusion in chosen.exclusions:
        assert re.compile(exclusion.pattern)
        assert exclusion.why


LOG = """\
Will run 5 of 3206 specs
Running in parallel across 2 processes
••
------------------------------
• [FAILED] [23.125 seconds]
[sig-node] Pods [It] break [Conformance]
  Timeline >>
  • not a spec's
------------------------------
•
"""


def test_progress_is_read_from_what_is_printed_so_far() -> None:
    assert suite.progress("Will run") == suite.Progress(ended=0, failed=())
    assert suite.progress(LOG) == suite.Progress(ended=4, failed=("[sig-node] Pods [It] break [Conformance]",))


def made(folder: Path, ginkgo: str) -> Suite:
    """A suite whose runner is a script."""
    (folder / "bin").mkdir()
    for name, script in (("ginkgo", ginkgo), ("e2e.test", "exit 0")):
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / "bin" / name).chmod(0o755)
    build = Build(
        program="kubernetes-e2e",
        version="1.37.1",
        arch="amd64",
        directory=folder / "bin",
        sha256={"ginkgo": "", "e2e.test": ""},
        built_from="a test",
    )
    return Suite(build=build, directory=folder)


def test_the_runner_is_told_what_to_run_and_what_not(tmp_path: Path) -> None:
    tests = made(tmp_path, 'for word; do echo "$word"; done; echo [] >report.json')
    with tests.running(CHOSEN, "DNS", ["--own"], parallel=3, wrap=lambda command: ["env", *command]) as process:
        assert process.wait(30) == 0
    tests.check()
    words = (tmp_path / suite.LOG).read_text().splitlines()
    assert {"--procs=3", "--focus=DNS", r"--skip=needs \[Zebra\]", f"--label-filter={CHOSEN.label_filter}"} <= set(
        words
    )
    assert words[-3:] == [str(tmp_path / "bin/e2e.test"), "--", "--own"]


def test_tests_without_a_report_are_an_error_with_their_output(tmp_path: Path) -> None:
    tests = made(tmp_path, "echo there is no cluster; exit 1")
    with tests.running(CHOSEN, "", [], parallel=1, wrap=lambda command: command) as process:
        process.wait(30)
    with pytest.raises(LauncherError, match=r"(?s)without a report.*e2e\.log.*there is no cluster"):
        tests.check()
    with pytest.raises(LauncherError, match=r"(?s)cannot list its specs.*there is no cluster"):
        tests.plan(CHOSEN, "")


def test_nothing_of_a_run_that_is_left_stays_behind(tmp_path: Path) -> None:
    tests = made(tmp_path, "sleep 600 & echo $! >child; wait")
    with tests.running(CHOSEN, "", [], parallel=1, wrap=lambda command: command) as process:
        wait_for("a child", lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text().strip() != "")
    assert process.returncode == -signal.SIGKILL
    child = (tmp_path / "child").read_text().strip()
    wait_for(
        "the child's end",
        lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split()[2],
    )


def test_a_first_interruption_lets_the_tests_clean_up(tmp_path: Path) -> None:
    tests = made(tmp_path, "trap 'echo [] >report.json; exit 3' INT; echo ready; while :; do sleep 0.1; done")
    # Ginkgo hears interruptions that a shell's background ignores; a script would go on ignoring them.
    listening = ["env", "--default-signal=INT"]
    with tests.running(CHOSEN, "", [], parallel=1, wrap=lambda command: [*listening, *command]) as process:
        wait_for("readiness", lambda: "ready" in (tmp_path / suite.LOG).read_text())
        suite.stop(process, signal.SIGINT)
        assert process.wait(30) == 3
    tests.check()
