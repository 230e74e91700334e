"""The order in which hosts are changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from typing import TypeVar, cast

import pulumi

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


def waits_for(resource: pulumi.Resource) -> Awaitable[pulumi.Resource]:
    """Make an item of `depends_on` that waits for another host's resource, and leaves no edge in the state.

    `pulumi destroy --target X --target-dependents` deletes whatever the state has behind X: by an edge between hosts,
    other hosts would go along.
    """

    async def made() -> None:
        await resource.urn.future()

    # The SDK leaves out what resolves to nothing (pulumi/runtime/_depends_on.py).
    return cast("Awaitable[pulumi.Resource]", asyncio.ensure_future(made()))
