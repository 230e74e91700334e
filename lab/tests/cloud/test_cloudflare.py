from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any

import cloudflare as official
import httpx
import pytest

from lab.cloud import ZONE_ID, ZONE_NAME
from lab.tests.cloud.service import Service

RECORD = {"name": "host.lab.triplane.test", "type": "A", "content": "198.19.0.10", "ttl": 60, "proxied": False}
RECORDS = f"/zones/{ZONE_ID}/dns_records"


@pytest.fixture
def http(service: Service) -> Iterator[httpx.Client]:
    with service.cloudflare() as client:
        yield client


def make(http: httpx.Client, **change: Any) -> dict[str, Any]:
    answer = http.post(RECORDS, json={**RECORD, **change})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["result"])


def error(answer: httpx.Response) -> tuple[int, int]:
    """Status and code of an error, whose envelope must be whole."""
    body = answer.json()
    assert (body["success"], body["result"], body["messages"]) == (False, None, [])
    (only,) = body["errors"]
    assert only["message"]
    return answer.status_code, only["code"]


def test_the_token_can_be_verified(cloudflare: official.Cloudflare) -> None:
    verified = cloudflare.user.tokens.verify()
    assert verified is not None
    assert (verified.status, len(verified.id)) == ("active", 32)


@pytest.mark.parametrize(
    ("headers", "path", "expected"),
    [
        ({}, RECORDS, (400, 9106)),
        ({"authorization": "Basic Zm9v"}, RECORDS, (400, 6003)),
        ({"authorization": f"Bearer {'x' * 40}"}, RECORDS, (401, 10000)),
        ({"authorization": f"Bearer {'x' * 40}"}, "/zones", (401, 10000)),
        ({"authorization": f"Bearer {'x' * 40}"}, "/user/tokens/verify", (401, 1000)),
    ],
)
def test_without_the_right_token_nothing_is_told(
    service: Service, headers: dict[str, str], path: str, expected: tuple[int, int]
) -> None:
    assert error(httpx.get(f"{service.url}/client/v4{path}", headers=headers, verify=False)) == expected


def test_digitaloceans_token_does_not_open_cloudflare(service: Service) -> None:
    with service.digitalocean() as client:
        assert error(client.get("/client/v4/zones")) == (401, 10000)


def test_the_zone_is_found_by_name_and_by_id(cloudflare: official.Cloudflare) -> None:
    (zone,) = cloudflare.zones.list(name=ZONE_NAME)
    assert (zone.id, zone.name, zone.status) == (ZONE_ID, ZONE_NAME, "active")
    assert cloudflare.zones.get(zone_id=ZONE_ID) == zone
    assert list(cloudflare.zones.list(name="example.com")) == []


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/zones/none", (404, 7003)),
        ("GET", f"/zones/{'0' * 32}", (404, 1001)),
        ("GET", f"/zones/{'0' * 32}/dns_records", (404, 1001)),
        ("GET", f"{RECORDS}/{'0' * 32}", (404, 81044)),
        ("DELETE", f"{RECORDS}/{'0' * 32}", (404, 81044)),
        ("GET", "/accounts", (404, 7000)),
        ("DELETE", "/zones", (405, 10405)),
    ],
)
def test_what_is_not_there_is_not_found(http: httpx.Client, method: str, path: str, expected: tuple[int, int]) -> None:
    assert error(http.request(method, path)) == expected


def test_changing_a_record_that_is_not_there_is_an_error(http: httpx.Client) -> None:
    path = f"{RECORDS}/{'0' * 32}"
    assert error(http.put(path, json=RECORD)) == error(http.patch(path, json={"ttl": 1})) == (404, 81044)


def test_a_record_lives_through_the_official_client(service: Service, cloudflare: official.Cloudflare) -> None:
    records, look_up = cloudflare.dns.records, service.cloud.records.addresses
    made = records.create(zone_id=ZONE_ID, name="Host.lab", type="A", content="198.19.0.10", ttl=60, comment="ours")
    assert made is not None
    assert (made.name, made.content, made.ttl, made.proxied) == ("host.lab.triplane.test", "198.19.0.10", 60, False)
    assert look_up("host.lab.triplane.test") == (IPv4Address("198.19.0.10"),)
    assert records.get(made.id, zone_id=ZONE_ID) == made
    put = records.update(made.id, zone_id=ZONE_ID, name=made.name, type="A", content="198.19.0.11", ttl=1)
    assert put is not None
    assert (put.id, put.content, put.ttl, put.comment) == (made.id, "198.19.0.11", 1, None)
    assert put.modified_on > made.modified_on
    assert put.created_on == made.created_on
    patched = records.edit(made.id, zone_id=ZONE_ID, name="moved", type="A", content="198.19.0.11", ttl=300)
    assert patched is not None
    assert patched.name == "moved.triplane.test"
    assert look_up("host.lab.triplane.test") is None
    assert look_up("moved.triplane.test") == (IPv4Address("198.19.0.11"),)
    deleted = records.delete(made.id, zone_id=ZONE_ID)
    assert deleted is not None
    assert deleted.id == made.id
    assert look_up("moved.triplane.test") is None
    with pytest.raises(official.NotFoundError, match="81044"):
        records.get(made.id, zone_id=ZONE_ID)


def test_patching_changes_only_what_is_named(http: httpx.Client) -> None:
    made = make(http, comment="kept", ttl=300)
    patched = http.patch(f"{RECORDS}/{made['id']}", json={"content": "198.19.0.99"}).json()["result"]
    assert (patched["content"], patched["ttl"], patched["comment"]) == ("198.19.0.99", 300, "kept")


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("www", "www.triplane.test"),
        ("@", "triplane.test"),
        ("triplane.test", "triplane.test"),
        ("a.b.TRIPLANE.test.", "a.b.triplane.test"),
        ("elsewhere.example", "elsewhere.example.triplane.test"),
        ("*.apps", "*.apps.triplane.test"),
    ],
)
def test_a_name_is_completed_with_its_zones(http: httpx.Client, given: str, full: str) -> None:
    assert make(http, name=given)["name"] == full


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"content": "300.0.0.1"}, 9005),
        ({"content": "host.example"}, 9005),
        ({"content": "::1"}, 9005),
        ({"ttl": 0}, 9021),
        ({"ttl": 5}, 9021),
        ({"ttl": 59}, 9021),
        ({"ttl": 86401}, 9021),
        ({"ttl": "soon"}, 1004),
        ({"name": "a b"}, 9000),
        ({"name": "a..b"}, 9000),
        ({"name": "a.*.b"}, 9000),
        ({"name": "x" * 64}, 9000),
        ({"name": None}, 1004),
        ({"type": "MX"}, 1004),
        ({"type": "CNAME", "content": "not a name"}, 9007),
        ({"proxied": True}, 9003),
        ({"tags": ["a:b"]}, 9301),
        ({"settings": {"ipv4_only": True}}, 1004),
        ({"comment": "x" * 101}, 9213),
    ],
)
def test_a_record_that_cannot_be_is_refused(http: httpx.Client, change: dict[str, Any], code: int) -> None:
    assert error(http.post(RECORDS, json={**RECORD, **change})) == (400, code)
    assert http.get(RECORDS).json()["result"] == []


@pytest.mark.parametrize("ttl", [1, 60, 86400])
def test_a_ttl_is_automatic_or_from_a_minute_to_a_day(http: httpx.Client, ttl: int) -> None:
    assert make(http, ttl=ttl)["ttl"] == ttl


def test_a_body_that_is_no_json_is_refused(http: httpx.Client) -> None:
    assert error(http.post(RECORDS, content=b"{")) == (400, 9207)


def test_records_of_one_name_must_fit_together(http: httpx.Client) -> None:
    alias = {"type": "CNAME", "content": "elsewhere.example"}
    make(http)
    assert error(http.post(RECORDS, json=RECORD)) == (400, 81058)
    assert error(http.post(RECORDS, json={**RECORD, **alias})) == (400, 81053)
    second = make(http, content="198.19.0.11")
    assert error(http.put(f"{RECORDS}/{second['id']}", json=RECORD)) == (400, 81058)
    assert http.put(f"{RECORDS}/{second['id']}", json={**RECORD, "content": "198.19.0.11"}).status_code == 200
    make(http, name="alias", **alias)
    assert error(http.post(RECORDS, json={**RECORD, "name": "alias"})) == (400, 81054)


def test_records_are_listed_by_page(http: httpx.Client) -> None:
    for number in range(5):
        make(http, name=f"host-{number}")
    answer = http.get(RECORDS, params={"page": 2, "per_page": 2}).json()
    assert [record["name"] for record in answer["result"]] == ["host-2.triplane.test", "host-3.triplane.test"]
    assert answer["result_info"] == {"page": 2, "per_page": 2, "count": 2, "total_count": 5, "total_pages": 3}
    assert error(http.get(RECORDS, params={"page": 0})) == (400, 1004)
    assert error(http.get("/zones", params={"per_page": 51})) == (400, 1004)


def test_the_official_client_walks_all_pages(http: httpx.Client, cloudflare: official.Cloudflare) -> None:
    for number in range(5):
        make(http, name=f"host-{number}")
    names = [record.name for record in cloudflare.dns.records.list(zone_id=ZONE_ID, per_page=2)]
    assert names == [f"host-{number}.triplane.test" for number in range(5)]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"name": {"exact": "a.triplane.test"}}, "a"),
        ({"name": {"startswith": "B"}}, "b"),
        ({"name": {"endswith": "c.triplane.test"}}, "c"),
        ({"name": {"contains": "triplane"}}, "abc"),
        ({"content": {"exact": "198.19.0.2"}}, "b"),
        ({"type": "CNAME"}, "c"),
        ({"type": "A", "name": {"exact": "c.triplane.test"}}, ""),
        ({"type": "A", "name": {"exact": "c.triplane.test"}, "match": "any"}, "abc"),
        ({"comment": {"contains": "second"}}, "b"),
        ({"search": "0.1"}, "a"),
        ({"proxied": True}, ""),
        ({"proxied": False}, "abc"),
        ({"order": "content", "direction": "desc"}, "cba"),
    ],
)
def test_a_list_can_be_filtered(
    http: httpx.Client, cloudflare: official.Cloudflare, filters: dict[str, Any], found: str
) -> None:
    make(http, name="a", content="198.19.0.1")
    make(http, name="b", content="198.19.0.2", comment="the Second")
    make(http, name="c", type="CNAME", content="elsewhere.example")
    listed = cloudflare.dns.records.list(zone_id=ZONE_ID, **filters)
    assert [record.name[0] for record in listed] == list(found)


def test_a_list_by_plain_name_is_exact(http: httpx.Client) -> None:
    make(http, name="a")
    make(http, name="aa")
    (record,) = http.get(RECORDS, params={"name": "a.triplane.test"}).json()["result"]
    assert record["name"] == "a.triplane.test"


def test_a_name_with_several_records_answers_all(service: Service, http: httpx.Client) -> None:
    for last in (3, 1, 2):
        make(http, name="api", content=f"198.19.0.{last}")
    found = service.cloud.records.addresses("api.triplane.test")
    assert found == tuple(IPv4Address(f"198.19.0.{last}") for last in (3, 1, 2))


def test_the_server_speaks_for_its_zones_only(service: Service) -> None:
    records = service.cloud.records
    assert records.zones() == (ZONE_NAME,)
    assert records.addresses("example.com") is None
    assert records.addresses("nottriplane.test") is None
    assert records.addresses(ZONE_NAME) == ()


def test_an_alias_answers_with_its_targets_addresses(service: Service, http: httpx.Client) -> None:
    look_up = service.cloud.records.addresses
    make(http, name="real")
    make(http, name="alias", type="CNAME", content="second.triplane.test")
    make(http, name="second", type="CNAME", content="Real.triplane.test.")
    make(http, name="away", type="CNAME", content="host.example.com")
    make(http, name="loop", type="CNAME", content="loop.triplane.test")
    assert look_up("alias.triplane.test") == (IPv4Address("198.19.0.10"),)
    assert look_up("away.triplane.test") == look_up("loop.triplane.test") == ()


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("any.apps.triplane.test", 1),
        ("deep.any.apps.triplane.test", 1),
        ("named.apps.triplane.test", 2),
        ("below.named.apps.triplane.test", None),  # its closest ancestor exists, and has no wildcard
        ("apps.triplane.test", 0),  # exists without records: something is below it
        ("other.triplane.test", None),
        ("host.empty.apps.triplane.test", 3),
        ("x.empty.apps.triplane.test", None),  # `empty` exists, since something is below it: no wildcard reaches in
    ],
)
def test_a_wildcard_matches_only_names_that_do_not_exist(
    service: Service, http: httpx.Client, name: str, last: int | None
) -> None:
    make(http, name="*.apps", content="198.19.0.1")
    make(http, name="named.apps", content="198.19.0.2")
    make(http, name="host.empty.apps", content="198.19.0.3")
    found = service.cloud.records.addresses(name)
    assert found == (None if last is None else tuple(IPv4Address(f"198.19.0.{end}") for end in (last,) if end))
