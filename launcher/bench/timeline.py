"""Timeline of a run: the engine's events and dependencies.

It reads the engine's event log, not Pulumi's Automation API, which reads the same log and hides the engine's display.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Event = tuple[float, Mapping[str, Any]]
"""An event and the time of its arrival (the engine's own stamps are whole seconds)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """One resource's step."""

    urn: str
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.end - self.start

    @property
    def name(self) -> str:
        """The resource's name."""
        return self.urn.split("::")[-1]

    @property
    def phase(self) -> str:
        """The component that it belongs to: the closest of its parents with a type of the program."""
        types = self.urn.split("::")[2].split("$")
        ours = [kind for kind in types if kind.startswith("triplane:")]
        return ours[-1].removeprefix("triplane:") if ours else "the program"


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """All steps of one kind of component; phases overlap if the graph allows it."""

    name: str
    start: float
    end: float
    steps: int


def spans(events: Iterable[Event]) -> dict[str, Span]:
    """URN → its step; unchanged resources have none."""
    begun: dict[str, float] = {}
    found: dict[str, Span] = {}
    for at, event in events:
        if metadata := (event.get("resourcePreEvent") or {}).get("metadata"):
            if metadata["op"] not in {"same", "read"}:
                begun.setdefault(metadata["urn"], at)
        elif metadata := (event.get("resOutputsEvent") or {}).get("metadata"):
            urn = metadata["urn"]
            if urn in begun:
                found[urn] = Span(urn=urn, start=begun[urn], end=at)
    return found


def dependencies(resources: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """URN → the URNs that its step waits for, from a recorded state."""
    needs: dict[str, set[str]] = {}
    for resource in resources:
        found = set(resource.get("dependencies") or [])
        for urns in (resource.get("propertyDependencies") or {}).values():
            found |= set(urns or [])
        needs[resource["urn"]] = found
    return needs


def critical_path(steps: Mapping[str, Span], needs: Mapping[str, set[str]]) -> list[Span]:
    """Find the chain of steps that decided the end: from the last step back, each time to the latest dependency."""
    leaves = {urn: span for urn, span in steps.items() if not _is_component(urn)}
    if not leaves:
        return []
    path = [max(leaves.values(), key=lambda span: span.end)]
    while before := [leaves[urn] for urn in _reachable(path[-1].urn, needs, leaves)]:
        path.append(max(before, key=lambda span: span.end))
    return path[::-1]


def _is_component(urn: str) -> bool:
    return urn.split("::")[2].rsplit("$", maxsplit=1)[-1].startswith(("triplane:", "pulumi:"))


def _reachable(urn: str, needs: Mapping[str, set[str]], leaves: Mapping[str, Span]) -> set[str]:
    """Find the steps that a step waits for, also through resources without a step."""
    found: set[str] = set()
    seen = {urn}
    waiting = list(needs.get(urn, ()))
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        if current in leaves:
            found.add(current)
        else:
            waiting += needs.get(current, ())
    return found


def phases(steps: Mapping[str, Span]) -> list[Phase]:
    """Group the steps by component, in the order in which they begin."""
    groups: dict[str, list[Span]] = {}
    for urn, span in steps.items():
        if not _is_component(urn):
            groups.setdefault(span.phase, []).append(span)
    found = [
        Phase(name=name, start=min(s.start for s in group), end=max(s.end for s in group), steps=len(group))
        for name, group in groups.items()
    ]
    return sorted(found, key=lambda phase: phase.start)


class Follower:
    """Reader of the engine's event log while it is written; it notes the time of each line.

    The log has unencrypted secrets (debugging messages quote what a program sends). It is a pipe, so that it is never
    on a disk, and only the beginnings and ends of steps are kept.
    """

    def __init__(self, path: Path) -> None:
        self.events: list[Event] = []
        self._path = path
        self._stop = threading.Event()

    @contextmanager
    def following(self) -> Iterator[Follower]:
        """Follow while the block runs; the engine can open the path when the block begins."""
        self._path.unlink(missing_ok=True)
        os.mkfifo(self._path, 0o600)
        # Non-blocking: the engine may end before it opens its side.
        descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
        thread = threading.Thread(target=self._follow, args=(descriptor,))
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()
            os.close(descriptor)
            self._path.unlink()

    def _follow(self, descriptor: int) -> None:
        rest = b""
        while True:
            last = self._stop.is_set()
            try:
                read = os.read(descriptor, 1 << 20)
            except BlockingIOError:  # the engine has written nothing
                read = b""
            if read:
                *lines, rest = (rest + read).split(b"\n")
                now = time.monotonic()
                self.events += [(now, event) for line in lines if (event := _step(line))]
            elif last:
                return
            else:
                self._stop.wait(0.02)


def _step(line: bytes) -> dict[str, Any]:
    """Read the step from an event; nothing from events of other kinds."""
    event = json.loads(line)
    return {
        kind: {"metadata": {key: event[kind]["metadata"][key] for key in ("urn", "op")}}
        for kind in ("resourcePreEvent", "resOutputsEvent")
        if kind in event
    }
