"""Who runs which lab: locks and records, in a folder of the test's own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import instances
from lab.config import LabConfig
from tests.waiting import wait_for


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabConfig:
    monkeypatch.setattr(instances, "REGISTRY", tmp_path / "run")
    return LabConfig(directory=tmp_path / "lab", name="test")


@pytest.fixture
def other_daemon(config: LabConfig) -> Iterator[int]:
    """Run a daemon of the same name in another process, from another directory."""
    context = multiprocessing.get_context("fork")
    up = context.Event()

    def be_daemon() -> None:
        elsewhere = LabConfig(directory=Path("/elsewhere"), name="test")
        with instances.as_daemon(elsewhere):
            instances.write(elsewhere)
            up.set()
            signal.pause()

    process = context.Process(target=be_daemon)
    process.start()
    assert up.wait(30)
    assert process.pid is not None
    yield process.pid
    process.kill()
    process.join()


def test_a_daemon_elsewhere_is_named_with_directory_and_pid(config: LabConfig, other_daemon: int) -> None:
    alive = instances.daemon("test")
    assert alive is not None
    assert (alive.directory, alive.pid) == ("/elsewhere", other_daemon)
    with (
        pytest.raises(instances.LabError, match=rf"/elsewhere \(pid {other_daemon}\).*--directory /elsewhere stop"),
        instances.as_daemon(config),
    ):
        pytest.fail("two daemons of one name")


def test_a_daemon_that_was_killed_is_none_though_it_is_on_record(config: LabConfig, other_daemon: int) -> None:
    os.kill(other_daemon, signal.SIGKILL)
    wait_for("its end", lambda: instances.daemon("test") is None)
    assert instances.read("test") is not None
    with instances.as_daemon(config):
        pass


def test_being_asked_after_does_not_keep_a_daemon_from_starting(config: LabConfig) -> None:
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            instances.daemon("test")

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(50):
            with instances.as_daemon(config):
                pass
    finally:
        stop.set()
        asking.join()


def test_a_waiter_for_a_removed_lab_gets_the_lock_exclusively(config: LabConfig) -> None:
    said: list[str] = []
    inside, leave = threading.Event(), threading.Event()

    def take_a_turn() -> None:
        with instances.changing(config, said.append):
            inside.set()
            leave.wait(30)

    waiting = threading.Thread(target=take_a_turn)
    with instances.changing(config, said.append):
        waiting.start()
        wait_for("the other's wait", lambda: bool(said), 10)
        assert not inside.is_set()
        instances.write(config)
        instances.forget("test")
        assert instances.read("test") is None
    assert inside.wait(10)
    assert said == ["another command is starting or stopping lab 'test': waiting for it"]
    next_one = threading.Thread(target=take_a_turn)
    next_one.start()
    wait_for("the next one's wait", lambda: len(said) == 2, 10)
    leave.set()
    waiting.join(10)
    next_one.join(10)
    assert not next_one.is_alive()


def test_a_lab_that_is_forgotten_leaves_no_file(config: LabConfig, tmp_path: Path) -> None:
    with instances.changing(config, print), instances.as_daemon(config):
        instances.write(config)
        instances.forget("test")
    assert not (tmp_path / "run").exists()
