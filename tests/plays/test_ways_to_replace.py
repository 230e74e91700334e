from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.tests.cloud.fixtures import in_memory
from lab.tests.cloud.service import Server
from tests.plays.play import Performance, load, topology
from tests.plays.stage import Stage, stage

__all__ = ["in_memory"]

pytestmark = pytest.mark.engine

REPLACING = "another image for the etcd pool"


@pytest.fixture
def makes_first(tmp_path: Path) -> Iterator[Stage]:
    """A stage whose digitalocean plugin does not ask that a droplet is deleted before its replacement is made."""
    server = Server()
    with stage(tmp_path / "stage", server, deletes_first=False) as made:
        yield made
    server.stop()


def test_the_plugin_does_not_choose_the_order(makes_first: Stage) -> None:
    [play] = [play for play in load("hosts.yaml") if play.play == REPLACING]
    first = makes_first.up(topology(play.topology))
    assert first.done, first.said
    Performance(play, makes_first, points=0).give(makes_first.scene(), topology(play.topology))
