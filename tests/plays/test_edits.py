from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.plays import invariants
from tests.plays.conftest import Raised
from tests.plays.play import changed, members, topology
from tests.plays.stage import Plan, Stage, Up

pytestmark = pytest.mark.engine

TABLE = Path(__file__).with_name("edits.yaml")
ROWS: list[dict[str, Any]] = yaml.safe_load(TABLE.read_text())
BEGIN = "wide"


def _marked(row: dict[str, Any]) -> object:
    unread = not {"plan", "refused"} & set(row)
    marks = [pytest.mark.xfail(strict=True, reason="nobody has written and read this row")] if unread else []
    return pytest.param(row, id=row["edit"], marks=marks)


@pytest.mark.parametrize("row", [_marked(row) for row in ROWS])
def test_an_edit(row: dict[str, Any], stage_: Stage, raised: Raised, request: pytest.FixtureRequest) -> None:
    stage_.return_to(raised(BEGIN))
    settings = changed(topology(BEGIN), row["change"])
    found: dict[str, Any] = {"edit": row["edit"], "change": row["change"]}
    plan, done = stage_.previewed_up(settings)
    if done.done:
        assert done.plan.items() <= plan.items(), "the up changed other resources than the preview named"
        # A preview does not know the address of a new droplet, which may be the old one.
        if spared := sorted(plan.keys() - done.plan.keys()):
            found["spared"] = spared
        assert not invariants.broken(done.record, members(settings))
        found |= _effects(plan, done)
    else:
        assert not done.record, done.said
        found["refused"] = _refusal(done.said)
    if request.config.getoption("--update-golden"):
        _write(found)
    else:
        assert found == row


def _effects(plan: Plan, done: Up) -> dict[str, Any]:
    operations = sorted(set(plan.values()))
    return {
        "plan": {operation: [name for name, each in plan.items() if each == operation] for operation in operations},
        "restarts": sorted(entry.name for entry in done.record if entry.restarted),
        # Sorted: what is new is made side by side. The rules see to the order of the others.
        "droplets": sorted(
            f"{entry.name} {entry.act}" for entry in done.record if entry.act in ("made", "gone", "off")
        ),
    }


def _refusal(said: str) -> str:
    """Return the first mistake that the program tells, in one line."""
    words = " ".join(said.replace("\\n", " ").split())
    return words.partition(" - triplane:")[2].partition("an unhandled error")[0].partition(" error:")[0].strip()


def _write(found: dict[str, Any]) -> None:
    """Put one row into the table."""
    text = TABLE.read_text()
    rows = [found if row["edit"] == found["edit"] else row for row in yaml.safe_load(text)]
    head = text[: text.index("- edit:")]
    TABLE.write_text(
        head + yaml.safe_dump(rows, sort_keys=False, width=118, allow_unicode=True, default_flow_style=None)
    )
