from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lab.tests.cloud.fixtures import server
from lab.tests.cloud.service import Server
from tests.plays import play
from tests.plays.stage import Scene, Stage, stage

__all__ = ["server"]

Raised = Callable[[str], Scene]


@pytest.fixture(scope="session")
def stage_(server: Server) -> Iterator[Stage]:
    memory = Path("/dev/shm")
    with (
        TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory,
        stage(Path(directory) / "stage", server) as made,
    ):
        yield made


@pytest.fixture(scope="session")
def raised(stage_: Stage) -> Raised:
    """Give the scene of a topology after its first `up`."""
    empty = stage_.scene()

    @cache
    def scene(name: str) -> Scene:
        stage_.return_to(empty)
        settings = play.topology(name)
        first = stage_.up(settings)
        assert first.done, first.said
        return stage_.scene()

    return scene
