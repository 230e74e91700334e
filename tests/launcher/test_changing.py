from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from lab.hosts import rootfs
from launcher import apply, repair
from launcher.commands import bench, up
from launcher.commands import test as tests
from launcher.context import Context
from launcher.report import Report, console
from launcher.workspace import Workspace


@dataclass
class Notes(Report):
    """What was said."""

    lines: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.lines.append(text)


def lock(workspace: Workspace, pid: int) -> repair.Lock:
    return repair.Lock(path=workspace.state / "lock", pid=pid, host="here")


def test_a_living_engine_is_waited_for_and_named_once(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    held = [[lock(workspace, 42)], [lock(workspace, 42)], []]
    monkeypatch.setattr(repair, "clear_stale_locks", lambda *_: held.pop(0))
    notes = Notes()
    apply.wait_for_engine(Context(workspace=workspace, report=notes), "lab")
    assert notes.lines == ["waiting for pulumi (process 42), which is at work on stack lab"]
    assert held == []


def test_a_second_launcher_waits_for_the_first_and_says_so(workspace: Workspace) -> None:
    notes = Notes()
    order = []

    def second() -> None:
        with workspace.locked(notes):
            order.append("second")

    with workspace.locked(Notes()):
        thread = threading.Thread(target=second)
        thread.start()
        while not notes.lines:
            time.sleep(0.01)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert notes.lines == ["waiting for another ./triplane in this checkout to finish"]


def test_changes_first_create_the_folder_for_its_owner_only(workspace: Workspace, tmp_path: Path) -> None:
    elsewhere = replace(workspace, directory=tmp_path / "not" / "there")
    with elsewhere.locked(Notes()):
        assert elsewhere.directory.stat().st_mode & 0o777 == 0o700


def test_an_up_ends_with_what_runs_where_and_what_to_type_next(capsys: pytest.CaptureFixture[str]) -> None:
    node = {"name": "etcd-0", "roles": ["etcd"], "publicAddress": "198.18.0.10", "privateAddress": "10.240.0.2"}
    up.show_next({"hosts": [node], "apiEndpoint": "https://api.lab.triplane.test:6443"}, "agnhost:1")
    said = capsys.readouterr().out
    for word in (
        "198.18.0.10",
        "https://api.lab.triplane.test:6443",
        "./triplane status",
        "kubectl get nodes",
        "./triplane ssh etcd-0",
    ):
        assert word in said


def run(seconds: float, memory: int = 1 << 30) -> bench.Run:
    return bench.Run(
        seconds={
            bench.CONTROL_PLANE: seconds - 40,
            bench.NODES: 30.0,
            bench.FROM_NOTHING: seconds,
            bench.NOTHING_TO_DO: 20.0,
            bench.PREVIEW: 5.0,
            bench.POD_START: 2.5,
        },
        phases=[("lab", 0.0, 2.0, 0), ("engine", 2.0, 4.0, 0), ("etcd:Cluster", 4.0, seconds, 3)],
        path=[("etcd:Cluster", "etcd-0", 4.5, seconds)],
        pods=[1.5, 2.5],
        memory=memory,
    )


@pytest.fixture
def table(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, list[str]]]:
    def shown(*runs: bench.Run) -> dict[str, list[str]]:
        bench.show(runs, console())
        lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
        return {words[0].strip(): [word.strip() for word in words[1:] if word.strip()] for words in lines if words[0]}

    return shown


def test_the_median_of_the_runs_is_set_against_the_target(table: Any) -> None:
    shown = table(run(140.0), run(150.0), run(500.0))
    assert shown[bench.CONTROL_PLANE] == ["110.0 s", "120 s", "ok"]
    assert shown[bench.NODES] == ["30.0 s", "60 s", "ok"]
    assert shown[bench.FROM_NOTHING] == ["150.0 s"]
    assert shown[bench.NOTHING_TO_DO] == ["20.0 s", "15 s", "too slow"]
    assert shown[bench.POD_START] == ["2.5 s", "5 s", "ok"]
    assert shown[bench.MEMORY] == ["1.00 GiB", "10 GiB", "ok"]


def test_all_percentiles_of_each_run_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    bench.show([run(140.0), run(150.0)], console())
    assert capsys.readouterr().out.count("p50 1.50 s, p90 2.50 s, p99 2.50 s, slowest 2.50 s") == 2


def test_the_control_plane_phase_ends_with_its_last_gate() -> None:
    phases = [
        ("kubernetes:Apiservers", 10.0, 60.0, 6),
        ("kubernetes:Schedulers", 50.0, 70.0, 6),
        ("kubernetes:Kubelets", 40.0, 90.0, 5),
        ("dns:Names", 5.0, 95.0, 5),
    ]
    assert bench.ends(phases, bench.CONTROL_PLANE_PHASES) == 70.0
    assert bench.ends(phases, bench.NODE_PHASES) == 90.0


def test_too_much_memory_is_told(table: Any) -> None:
    assert table(run(100.0, memory=11 << 30))[bench.MEMORY] == ["11.00 GiB", "10 GiB", "too much"]


def test_the_phases_and_the_critical_path_are_of_the_median_run(table: Any) -> None:
    shown = table(run(100.0), run(110.0), run(500.0))
    assert shown["etcd:Cluster"] == ["3", "4.0 s", "110.0 s", "106.0 s"]
    assert shown["etcd-0"] == ["etcd:Cluster", "4.5 s", "110.0 s", "105.5 s", "0.5 s"]


def test_fast_tests_need_no_hosts_and_no_engine() -> None:
    chosen = tests.selected(["fast", "-k", "dns"])
    assert not chosen.needs_hosts
    assert chosen.arguments[:2] == ("-m", "not hosts and not engine and not slow")
    assert chosen.arguments[-2:] == ("-k", "dns")


def test_long_tests_run_only_on_request_and_on_every_image() -> None:
    assert tests.selected([]).arguments[:2] == ("-m", "not long")
    long = tests.selected(["long"]).arguments
    assert "-m" not in long
    assert {word.removeprefix("--host-image=") for word in long if word.startswith("--host-image=")} == set(
        rootfs.IMAGES
    )


def test_words_for_pytest_come_last_so_that_they_win() -> None:
    assert tests.selected(["-n", "0", "lab/tests"]).arguments[-3:] == ("-n", "0", "lab/tests")
