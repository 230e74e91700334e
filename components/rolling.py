"""The order in which hosts are changed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from components.host import Host

T = TypeVar("T")
Made = TypeVar("Made")


def rolling(
    items: Iterable[T],
    make: Callable[[T, Sequence[Made]], Made],
    *,
    lanes: Callable[[T], Iterable[Hashable]],
    may_run: Callable[[T], bool],
) -> list[Made]:
    """Make one object for each item; `make` gets the objects to wait for: the last one in each of the item's lanes.

    Lanes hold what `may_run` already. What is new waits for nobody in them, and nobody waits for it.
    """
    made: list[Made] = []
    last: dict[Hashable, Made] = {}
    for item in items:
        own = tuple(lanes(item)) if may_run(item) else ()
        made.append(make(item, list(dict.fromkeys(last[lane] for lane in own if lane in last))))
        last |= dict.fromkeys(own, made[-1])
    return made


def one_lane(_host: Host) -> tuple[Hashable, ...]:
    """One host after another."""
    return ("all",)


def by_pool(host: Host) -> tuple[Hashable, ...]:
    """Pools in parallel, the hosts of each pool one after another."""
    return (host.spec.pool,)
