"""The zone: each check with a good case and a bad one, against the lab's API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from doctor import cloudflare
from doctor.cloudflare import DNS_RECORD, reader
from doctor.findings import State
from doctor.reading import Reader
from doctor.stack import Stack
from lab.cloud import ZONE_ID, ZONE_NAME
from lab.cloud.tokens import Account as Api
from lab.cloud.tokens import grant
from lab.tests.cloud.service import Service
from tests.doctor.altered import Altered
from tests.doctor.conftest import MakeStack
from tests.doctor.world import World

ZONE = f"/client/v4/zones/{ZONE_ID}"
VERIFY = "/client/v4/user/tokens/verify"


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with service.cloudflare() as client:
        yield client


def make_record(client: httpx.Client, name: str, kind: str = "A", content: str = "192.0.2.1") -> str:
    body = {"name": name, "type": kind, "content": content, "ttl": 60}
    made = client.post(f"/zones/{ZONE_ID}/dns_records", json=body)
    assert made.status_code == 200, made.text
    return str(made.json()["result"]["id"])


def test_a_right_token_is_accepted(stack: Stack, flare: Reader) -> None:
    found = cloudflare.token(stack, flare)
    assert found.state is State.OK
    assert "accepts cloudflare:apiToken" in found.found


def test_a_wrong_token_is_told(make_stack: MakeStack) -> None:
    wrong = "f" * 40
    stack = make_stack(flare=wrong)
    found = cloudflare.token(stack, reader(stack.cloudflare))
    assert found.state is State.WRONG
    assert "Invalid API Token" in found.found
    assert "pulumi config set --secret cloudflare:apiToken" in found.advice
    assert wrong not in str(found)


def test_a_token_that_an_account_owns_is_verified_at_the_account(stack: Stack, flare: Reader, lab: Altered) -> None:
    """Cloudflare's /user/tokens/verify knows tokens of people only."""
    lab.refuse_zone(VERIFY, 401, 1000, "Invalid API Token")
    account = flare.json(f"/zones/{ZONE_ID}")["result"]["account"]["id"]
    path = f"/client/v4/accounts/{account}/tokens/verify"
    lab.refusals[path] = (
        200,
        {"success": True, "errors": [], "messages": [], "result": {"id": "t", "status": "active"}},
    )
    assert cloudflare.token(stack, flare).state is State.OK
    assert lab.asked[-1] == ("GET", path)


def test_a_disabled_token_is_told(stack: Stack, flare: Reader, lab: Altered) -> None:
    lab.changes[VERIFY] = lambda body: body["result"].update(status="disabled")
    assert "is disabled" in cloudflare.token(stack, flare).found


@pytest.mark.parametrize(("days", "state"), [(3, State.NOTE), (300, State.OK)])
def test_a_token_that_ends_soon_is_noted(stack: Stack, flare: Reader, lab: Altered, days: int, state: State) -> None:
    end = (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    lab.changes[VERIFY] = lambda body: body["result"].update(expires_on=end)
    assert cloudflare.token(stack, flare).state is state


def test_the_zone_that_is_meant_is_found(stack: Stack, flare: Reader) -> None:
    found = cloudflare.zone(stack, flare)
    assert (found.state, found.found) == (State.OK, f"{ZONE_NAME} is active.")


def test_a_zone_that_is_not_there_is_told(make_stack: MakeStack, flare: Reader) -> None:
    stack = make_stack(zone={"id": "0" * 32, "name": ZONE_NAME})
    found = cloudflare.zone(stack, flare)
    assert found.state is State.WRONG
    assert f"triplane:zone.id = {'0' * 32}" in found.found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "example.org"}, f"is example.org, not {ZONE_NAME}"),
        ({"status": "pending"}, "is pending, not active"),
        ({"type": "partial"}, "is a partial zone"),
    ],
)
def test_a_zone_that_is_not_as_it_should_be_is_told(
    stack: Stack, flare: Reader, lab: Altered, change: dict[str, Any], said: str
) -> None:
    lab.changes[ZONE] = lambda body: body["result"].update(change)
    found = cloudflare.zone(stack, flare)
    assert found.state is State.WRONG
    assert said in found.found


def test_a_token_for_records_alone_is_enough(make_stack: MakeStack, service: Service) -> None:
    stack = make_stack(flare=grant(service.directory, Api.CLOUDFLARE, ["dns_records:edit"]))
    flare = reader(stack.cloudflare)
    assert cloudflare.zone(stack, flare).state is State.NOTE
    assert cloudflare.token(stack, flare).state is State.OK
    assert cloudflare.records(stack, flare).state is State.OK


def test_a_zone_that_the_world_asks_cloudflare_for_is_well(stack: Stack, flare: Reader, world: World) -> None:
    world.name_servers[ZONE_NAME] = [f"NS1.{ZONE_NAME}.", f"ns2.{ZONE_NAME}."]
    assert cloudflare.delegation(stack, flare, world.outside).state is State.OK


@pytest.mark.parametrize(
    ("servers", "said"), [(["ns.parking.test."], "names ns.parking.test for"), ([], "no name servers")]
)
def test_a_zone_that_is_delegated_elsewhere_is_told(
    stack: Stack, flare: Reader, world: World, servers: list[str], said: str
) -> None:
    world.name_servers[ZONE_NAME] = servers
    found = cloudflare.delegation(stack, flare, world.outside)
    assert found.state is State.WRONG
    assert said in found.found
    assert f"Set ns1.{ZONE_NAME}, ns2.{ZONE_NAME} at the registrar" in found.advice


def test_where_the_public_dns_cannot_be_asked_that_is_a_note(stack: Stack, flare: Reader, world: World) -> None:
    world.broken = True
    assert cloudflare.delegation(stack, flare, world.outside).state is State.NOTE
    assert cloudflare.delegation(stack, flare, None).state is State.NOTE


def test_records_of_others_elsewhere_and_the_stacks_own_are_well(
    make_stack: MakeStack, flare: Reader, client: httpx.Client, lab: Altered
) -> None:
    topology = make_stack().topology
    make_record(client, f"www.{ZONE_NAME}")
    own = make_record(client, topology.api_name)
    text = {"id": "f" * 32, "name": topology.hosts[0].fqdn, "type": "TXT", "content": "mine"}
    lab.changes[f"{ZONE}/dns_records"] = lambda body: body["result"].append(text)
    found = cloudflare.records(make_stack(made={DNS_RECORD: {own}}), flare)
    assert found.state is State.OK
    assert "12 names are free" in found.found


def test_records_that_are_in_the_way_are_told(stack: Stack, flare: Reader, client: httpx.Client) -> None:
    node = stack.topology.hosts[0]
    make_record(client, node.fqdn)
    make_record(client, stack.topology.api_private_name, "A", "10.0.0.1")
    found = cloudflare.records(stack, flare)
    assert found.state is State.WRONG
    assert f"{node.fqdn} A 192.0.2.1" in found.found
    assert f"{stack.topology.api_private_name} A 10.0.0.1" in found.found


@pytest.mark.parametrize(("name", "state"), [("prod", State.WRONG), ("other", State.OK)])
def test_a_part_of_the_zone_that_is_given_away_is_told(
    stack: Stack, flare: Reader, lab: Altered, name: str, state: State
) -> None:
    """The lab makes no NS record, so one is put into its answer."""
    record = {"id": "f" * 32, "name": f"{name}.{ZONE_NAME}", "type": "NS", "content": "ns.elsewhere.test"}
    lab.changes[f"{ZONE}/dns_records"] = lambda body: body["result"].append(record)
    found = cloudflare.records(stack, flare)
    assert found.state is state
    assert (f"prod.{ZONE_NAME} NS ns.elsewhere.test" in found.found) == (state is State.WRONG)


def test_a_zone_of_many_pages_is_read_to_its_end(
    stack: Stack, flare: Reader, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloudflare, "PER_PAGE", 5)
    for number in range(6):
        make_record(client, f"a{number}.{ZONE_NAME}")
    make_record(client, stack.topology.api_name)
    assert stack.topology.api_name in cloudflare.records(stack, flare).found


def test_records_that_may_not_be_read_are_told(make_stack: MakeStack, service: Service) -> None:
    stack = make_stack(flare=grant(service.directory, Api.CLOUDFLARE, ["zone:read"]))
    found = cloudflare.records(stack, reader(stack.cloudflare))
    assert found.state is State.WRONG
    assert "Zone / DNS / Edit" in found.advice
