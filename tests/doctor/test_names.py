"""What the doctor looks for is what the program makes, and what its document says is what it does."""

from __future__ import annotations

import pytest

from doctor import cloudflare, digitalocean, estimate
from doctor.digitalocean import CHANGED, KINDS, READ_SCOPES
from doctor.stack import Stack
from settings.accounts import CLOUDFLARE, DIGITALOCEAN, find
from settings.load import check
from tests.components.graph import config_of, graph_of
from tests.documents import read, table

FIRST_RUN, README = "docs/first-run.md", "README.md"


def stack_of(name: str, **changes: str) -> Stack:
    config = config_of(name) | {f"triplane:{setting}": value for setting, value in changes.items()}
    accounts = [find(each, config, is_secret=bool, environment={}) for each in (DIGITALOCEAN, CLOUDFLARE)]
    settings = check(config, (), lambda _key: False)
    return Stack(name=name, settings=settings, digitalocean=accounts[0], cloudflare=accounts[1])


@pytest.mark.parametrize(("name", "changes"), [("dev", {}), ("prod", {}), ("dev", {"cloudController": "true"})])
def test_the_doctor_looks_for_the_names_the_program_makes(name: str, changes: dict[str, str]) -> None:
    graph, stack = graph_of(name, **changes), stack_of(name, **changes)
    made = {kind: {each.inputs["name"] for each in graph.of(kind)} for kind in (t for _, _, t in KINDS.values())}
    assert {KINDS[kind][2]: names for kind, names in digitalocean.names_wanted(stack).items()} == made
    records = {each.inputs["name"] for each in graph.of(cloudflare.DNS_RECORD)}
    assert cloudflare.names_wanted(stack) == records


def test_the_scopes_that_are_told_are_those_that_are_used() -> None:
    told = {scope.strip("`"): rights for scope, rights in table(FIRST_RUN, "Scope")}
    assert {scope for scope, rights in told.items() if rights == "create, read, update, delete"} == set(CHANGED)
    assert {f"{scope}:read" for scope in told} == set(READ_SCOPES)


def test_the_costs_that_are_told_are_the_tables() -> None:
    text = read(FIRST_RUN)
    for name in ("dev", "prod"):
        cost = estimate.cost(stack_of(name), None)
        assert f"{cost.a_month:.0f}" in text
        assert f"{cost.an_hour:.2f}" in text


def test_the_time_that_is_told_is_the_estimate() -> None:
    least, most = estimate.MINUTES
    assert f"Expect {least} to {most} minutes." in read(FIRST_RUN)
    assert f"{least} to {most} minutes for `prod`" in read(README)
