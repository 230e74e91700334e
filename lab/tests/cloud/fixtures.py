"""Fixtures of tests that call the two APIs; a conftest.py imports those that its tests use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lab.tests.cloud.service import Server, Service


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def service(server: Server, tmp_path: Path) -> Iterator[Service]:
    with server.serving(tmp_path) as running:
        yield running


@pytest.fixture(name="tmp_path")
def in_memory() -> Iterator[Path]:
    """Give each test a directory in memory, if possible: with a store per test, the disk would take the time."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        yield Path(directory)
