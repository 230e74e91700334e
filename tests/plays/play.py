"""Plays: settings that change, told as data, and given on a stage."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lab.cloud import ZONE_ID, ZONE_NAME
from tests.plays import invariants
from tests.plays.stage import Scene, Settings, Stage, Up
from tests.plays.world import Interruption, World

HERE = Path(__file__).parent
POINTS = 1
"""Steps at which each `up` of a play is interrupted, unless TRIPLANE_PLAY_STRIDE says every how many steps."""
SIZE = "s-1vcpu-2gb"
BASE: Settings = {
    "cluster": "play",
    "domain": "play.triplane.test",
    "zone": {"id": ZONE_ID, "name": ZONE_NAME},
    "region": "fra1",
    "image": "debian-13-x64",
    "sshAllowed": ["198.18.0.1/32"],
    "versions": {"kubernetes": "1.36.3", "etcd": "3.6.13"},
}


@dataclass(frozen=True, kw_only=True)
class Act:
    """An `up`, and what happens before it."""

    change: Mapping[str, Any] = field(default_factory=dict)
    """Settings that change; of `pools`, only those that change, by name (null takes a pool away)."""
    lose: str = ""
    """Host whose droplet is deleted behind the program's back: the `up` refreshes first."""
    cut_off: str = ""
    """Host that dies, without a word to the cloud."""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """Outputs of the stack, as another version of the program would have left them."""
    told: str = ""
    """What the `up` says as it stops; empty if it is done."""
    but: frozenset[str] = frozenset()
    """Rules that do not hold (tests/plays/invariants.py)."""


@dataclass(frozen=True, kw_only=True)
class Play:
    """A name, the topology that it begins with, and what happens then."""

    play: str
    topology: str
    acts: tuple[Act, ...]
    missing: str = ""
    """What the program lacks for it."""


def load(file: str) -> list[Play]:
    """Read the plays of a file."""
    written = yaml.safe_load((HERE / file).read_text())
    return [
        Play(**{**play, "acts": tuple(Act(**{**act, "but": frozenset(act.get("but", ()))}) for act in play["acts"])})
        for play in written
    ]


def topology(name: str) -> Settings:
    """Return the settings that plays on this topology begin with."""
    return changed({**BASE, "pools": []}, yaml.safe_load((HERE / "topologies.yaml").read_text())[name])


def changed(settings: Settings, change: Mapping[str, Any]) -> Settings:
    """Change some settings; null takes one away."""
    pools = {pool["name"]: pool for pool in settings["pools"]}
    for name, pool in change.get("pools", {}).items():
        if pool is None:
            del pools[name]
        else:
            pools[name] = {"name": name, "size": SIZE, **pools.get(name, {}), **pool}
    merged = {**settings, "pools": list(pools.values())}
    for name, value in change.items():
        if isinstance(value, Mapping) and name != "pools":
            merged[name] = {**settings.get(name, {}), **value}
        elif name != "pools":
            merged[name] = value
    return {name: value for name, value in merged.items() if value is not None}


def members(settings: Settings) -> frozenset[str]:
    """Name the etcd members that these settings want."""
    pools = [pool for pool in settings["pools"] if "etcd" in pool["roles"]]
    return frozenset(f"{pool['name']}-{index}" for pool in pools for index in range(pool["count"]))


def outcome(world: World) -> dict[str, object]:
    """Tell how the world is, without what differs from one run to the next."""
    state = world.state
    names = {host.private: host.name for host in state.hosts.values()}
    ids = {str(host.id): host.name for host in state.hosts.values()}
    return {
        "hosts": {host.name: sorted(host.applied) if host.on else "off" for host in state.hosts.values()},
        "etcd": [
            {member.name: "learner" if member.learner else "voter" for member in cluster.members}
            for cluster in state.clusters.founded
        ],
        "nodes": {name: (ids.get(node.droplet, "gone"), node.labelled) for name, node in state.nodes.items()},
        "api": sorted(names.get(address, "nobody") for address in world.addresses(state.api_name)),
        "answers": sorted(host.name for host in state.hosts.values() if world.api_on(host)),
    }


@dataclass
class Performance:
    """A play on a stage, and what came of it."""

    play: Play
    stage: Stage
    points: int = POINTS
    told: list[str] = field(default_factory=list)
    """A line for each act: the interruptions that were tried."""

    def give(self, start: Scene, settings: Settings) -> None:
        """Perform all acts, each interrupted at some of its steps as well."""
        self.stage.return_to(start)
        for number, act in enumerate(self.play.acts, 1):
            settings = changed(settings, act.change)
            self._befall(act)
            before = self.stage.scene()
            done = self._up(act, settings)
            if act.told:
                assert not done.done, f"act {number} is done, and must stop:\n{_lines(done)}"
                assert act.told in " ".join(done.said.split()), done.said
                continue
            assert done.done, f"act {number} stops:\n{done.said}\n{_lines(done)}"
            _, plan = self.stage.preview(settings)
            assert not plan, f"act {number}: the next preview is not empty: {plan}"
            self._interrupt(number, act, settings, before, steps=sum(entry.act in STEPS for entry in done.record))

    def _befall(self, act: Act) -> None:
        if act.lose:
            self.stage.lose(act.lose)
        if act.cut_off:
            self.stage.cut_off(act.cut_off)
        if act.outputs:
            self.stage.write_outputs(act.outputs)

    def _up(self, act: Act, settings: Settings, interruption: Interruption | None = None) -> Up:
        done = self.stage.up(settings, *(["--refresh"] if act.lose else []), interruption=interruption)
        wrong = invariants.broken(done.record, members(settings), but=act.but)
        assert not wrong, "\n".join([*wrong, _lines(done)])
        return done

    def _interrupt(self, number: int, act: Act, settings: Settings, before: Scene, *, steps: int) -> None:
        """Fail at some of the steps, run `up` again, and compare the end with that of an `up` that went through."""
        if not self.points:
            return
        end, expected = self.stage.scene(), outcome(self.stage.world)
        stride = int(os.environ.get("TRIPLANE_PLAY_STRIDE") or steps // (self.points + 1) + 1)
        points = list(range(stride, steps + 1, stride))
        for count, step in enumerate(points):
            self.stage.return_to(before)
            stop = Interruption(step, after=count % 2 == 1)
            first = self._up(act, settings, stop)
            where = f"act {number}, interrupted at step {step} of {steps}"
            assert not first.done, f"{where}: it goes on"
            again = self._up(act, settings)
            assert again.done, f"{where}: the next up stops:\n{again.said}\n{_lines(first)}\n--\n{_lines(again)}"
            assert outcome(self.stage.world) == expected, f"{where}: it ends otherwise"
        self.told.append(f"act {number}: {steps} steps, one in {stride} interrupted: {points}")
        self.stage.return_to(end)


STEPS = ("create", "update", "delete")


def _lines(done: Up) -> str:
    return "\n".join(map(str, done.record))


def points(performance: Performance) -> Iterator[str]:
    """Tell what was tried, for the summary of the tests."""
    yield from (f"{performance.play.play}: {line}" for line in performance.told)
