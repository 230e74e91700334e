"""Upstream's specs and their results, read from Ginkgo's JSON report (onsi/ginkgo, types.Report)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_SELECTION = Path(__file__).with_name("specs.yaml")
_NANOSECONDS = 1e9
_FAILED = {"failed", "panicked", "timedout", "aborted"}
_LINES = 6
"""Lines of a failure's message in the summary; the reports have all of it."""


class State(StrEnum):
    """State of a spec."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    """The spec itself reported that it does not apply to this cluster."""
    INTERRUPTED = "interrupted"
    NOT_RUN = "not run"


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """One spec of a report."""

    name: str
    state: State
    seconds: float
    message: str

    @property
    def group(self) -> str:
        """The special interest group that owns the spec."""
        found = re.match(r"\[(sig-[a-z-]+)\]", self.name)
        return found[1] if found else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exclusion:
    """Specs that are left out."""

    pattern: str
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Selection of specs."""

    groups: tuple[str, ...]
    exclusions: tuple[Exclusion, ...]

    @property
    def label_filter(self) -> str:
        """Ginkgo's syntax."""
        return f"Conformance && ({' || '.join(self.groups)})"

    def excluded(self, name: str) -> Exclusion | None:
        """Reason why a spec is left out; None if it runs."""
        return next((exclusion for exclusion in self.exclusions if re.search(exclusion.pattern, name)), None)


@cache
def selection() -> Selection:
    """Read the selection that comes with the launcher."""
    content = yaml.safe_load(_SELECTION.read_text())
    return Selection(
        groups=tuple(content["groups"]),
        exclusions=tuple(Exclusion(pattern=entry["specs"], why=entry["why"]) for entry in content["skipped"]),
    )


def read(report: Path) -> list[Spec]:
    """Read a report's specs, in the order of their names; specs that the filters left out are `NOT_RUN`."""
    suites = json.loads(report.read_text())
    found = [_spec(entry) for suite in suites for entry in suite["SpecReports"] or [] if entry["LeafNodeType"] == "It"]
    return sorted(found, key=lambda spec: spec.name)


def suite_failures(report: Path) -> list[str]:
    """Read what failed before or after all specs."""
    suites = json.loads(report.read_text())
    return [
        f"{entry['LeafNodeType']}: {entry.get('Failure', {}).get('Message', '')}"
        for suite in suites
        for entry in suite["SpecReports"] or []
        if entry["LeafNodeType"] != "It" and entry["State"] in _FAILED
    ]


def _spec(entry: dict[str, Any]) -> Spec:
    state = entry["State"]
    message = str((entry.get("Failure") or {}).get("Message") or "")
    if state in _FAILED:
        became = State.FAILED
    elif state == "skipped":  # a spec that skips itself has a reason; one that a filter skips has none
        became = State.SKIPPED if message else State.NOT_RUN
    else:
        became = {"passed": State.PASSED, "interrupted": State.INTERRUPTED}.get(state, State.NOT_RUN)
    return Spec(
        name=" ".join([*(entry.get("ContainerHierarchyTexts") or []), entry["LeafNodeText"]]),
        state=became,
        seconds=entry.get("RunTime", 0) / _NANOSECONDS,
        message=message,
    )


def render(specs: Sequence[Spec], chosen: Selection) -> RenderableType:
    """Show the counts of each group, the failures with their messages, and the exclusions with their reasons."""
    parts: list[RenderableType] = []
    for state, heading in ((State.FAILED, "FAILED"), (State.INTERRUPTED, "INTERRUPTED")):
        if broken := [spec for spec in specs if spec.state is state]:
            parts += [Text(heading, style="bold red"), *(_failure(spec) for spec in broken), Text()]
    if reasons := _reasons(specs, chosen):
        parts += [reasons, Text()]
    return Group(*parts, _counts(specs, chosen))


def _failure(spec: Spec) -> Text:
    lines = [line for line in spec.message.splitlines() if line.strip()][:_LINES]
    return Text("\n".join([spec.name, *(f"    {line}" for line in lines)]))


def _reasons(specs: Sequence[Spec], chosen: Selection) -> Table | None:
    table = Table("SKIPPED", "WHY", box=None, pad_edge=False)
    for spec in specs:
        exclusion = chosen.excluded(spec.name)
        if exclusion and spec.state is State.NOT_RUN:
            table.add_row(spec.name, exclusion.why)
        elif spec.state is State.SKIPPED:
            table.add_row(spec.name, f"says itself: {spec.message.splitlines()[0]}")
    return table if table.row_count else None


def _counts(specs: Sequence[Spec], chosen: Selection) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("GROUP")
    for heading in ("PASSED", "FAILED", "SKIPPED", "MINUTES"):
        table.add_column(heading, justify="right")
    for group in (*chosen.groups, "all"):
        mine = [spec for spec in specs if group in {"all", spec.group}]
        skipped = sum(
            spec.state is State.SKIPPED or (spec.state is State.NOT_RUN and chosen.excluded(spec.name) is not None)
            for spec in mine
        )
        table.add_row(
            group,
            str(sum(spec.state is State.PASSED for spec in mine)),
            str(sum(spec.state in {State.FAILED, State.INTERRUPTED} for spec in mine)),
            str(skipped),
            f"{sum(spec.seconds for spec in mine) / 60:.0f}",
        )
    return table
