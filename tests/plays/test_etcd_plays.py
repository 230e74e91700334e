from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.plays.conftest import Raised
from tests.plays.play import Performance, Play, load, points, topology
from tests.plays.stage import Stage

pytestmark = pytest.mark.engine


def _marked(play: Play) -> object:
    marks = [pytest.mark.xfail(strict=True, reason=play.missing)] if play.missing else []
    return pytest.param(play, id=play.play, marks=marks)


@pytest.mark.parametrize("play", [_marked(play) for play in load("etcd.yaml")])
def test_a_play_of_members(
    play: Play, stage_: Stage, raised: Raised, record_property: Callable[[str, object], None]
) -> None:
    performance = Performance(play, stage_)
    try:
        performance.give(raised(play.topology), topology(play.topology))
    finally:
        record_property("told", list(points(performance)))
