from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab.cloud.rate_limit import RateLimit
from lab.cloud.tokens import load
from lab.hosts import rootfs
from lab.tests.cloud.service import Account, Server, Service


def test_the_account_says_whose_it_is(digitalocean: Any) -> None:
    account = digitalocean.account.get()["account"]
    assert account["status"] == "active"
    assert account["droplet_limit"] == 25


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer dop_v1_wrong"}, {"authorization": "Basic Zm9v"}, {"authorization": "Bearer ü"}],
    ids=["no header", "wrong token", "another scheme", "not ASCII"],
)
@pytest.mark.parametrize("path", ["/v2/account", "/v2/droplets/1", "/v2/nowhere"])
def test_without_the_right_token_every_path_answers_401(service: Service, headers: dict[str, str], path: str) -> None:
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    answer = httpx.get(service.url + path, headers=encoded, verify=False)
    assert (answer.status_code, answer.json()["id"]) == (401, "unauthorized")


def test_tokens_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "tokens.yaml"
    tokens = load(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert re.fullmatch(r"dop_v1_[0-9a-f]{64}", tokens.digitalocean)
    assert len(tokens.cloudflare) == 40
    assert load(file) == tokens
    assert load(tmp_path / "other.yaml") != tokens
    assert tokens.digitalocean not in repr(tokens)


def test_the_store_is_for_its_owner_alone(service: Service, tmp_path: Path, account: Account) -> None:
    account.droplet()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("cloud.sqlite*")}
    assert modes
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/v2/nowhere", 404, "not_found"),
        ("GET", "/v2/account/", 404, "not_found"),
        ("PATCH", "/v2/account", 405, "method_not_allowed"),
        ("GET", "/v2/volumes", 404, "not_found"),
    ],
)
def test_what_the_lab_does_not_have_is_refused(
    raw: httpx.Client, method: str, path: str, status: int, kind: str
) -> None:
    answer = raw.request(method, path)
    assert (answer.status_code, answer.json()["id"]) == (status, kind)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_body_that_is_no_json_object_is_a_bad_request(raw: httpx.Client, content: bytes) -> None:
    answer = raw.post("/v2/vpcs", content=content)
    assert (answer.status_code, answer.json()["id"]) == (400, "bad_request")


def test_an_error_carries_the_id_of_its_request(raw: httpx.Client) -> None:
    answer = raw.get("/v2/droplets/1")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_regions_sizes_and_images_can_be_chosen_from(digitalocean: Any) -> None:
    assert "fra1" in [region["slug"] for region in digitalocean.regions.list()["regions"]]
    sizes = {size["slug"]: size for size in digitalocean.sizes.list(per_page=200)["sizes"]}
    assert (sizes["s-2vcpu-4gb"]["memory"], sizes["s-2vcpu-4gb"]["vcpus"]) == (4096, 2)
    images = {image["slug"]: image for image in digitalocean.images.list(type="distribution")["images"]}
    assert set(images) == set(rootfs.IMAGES)
    for slug, image in images.items():
        assert digitalocean.images.get(slug)["image"] == digitalocean.images.get(image["id"])["image"] == image
    assert digitalocean.images.list(private=True)["images"] == []


def test_a_list_comes_in_pages_linked_to_each_other(service: Service, raw: httpx.Client) -> None:
    for name in "abcde":
        raw.post("/v2/tags", json={"name": name})

    def page(number: int) -> dict[str, dict[str, str]]:
        answer = raw.get("/v2/tags", params={"page": number, "per_page": 2}).json()
        assert answer["meta"] == {"total": 5}
        assert [tag["name"] for tag in answer["tags"]] == list("abcde")[2 * number - 2 : 2 * number]
        return dict(answer["links"])

    base = f"{service.url}/v2/tags?page="
    assert page(1) == {"pages": {"next": f"{base}2&per_page=2", "last": f"{base}3&per_page=2"}}
    assert page(2)["pages"]["prev"] == f"{base}1&per_page=2"
    assert page(3) == {"pages": {"first": f"{base}1&per_page=2", "prev": f"{base}2&per_page=2"}}
    assert raw.get("/v2/tags").json()["links"] == {}


def test_a_client_that_follows_the_links_sees_everything_once(account: Account, digitalocean: Any) -> None:
    for number in range(5):
        account.droplet(f"host-{number}")
    seen, page = [], 1
    while True:
        answer = digitalocean.droplets.list(per_page=2, page=page)
        seen += [droplet["name"] for droplet in answer["droplets"]]
        if "next" not in answer["links"].get("pages", {}):
            break
        page += 1
    assert seen == [f"host-{number}" for number in range(5)]


@pytest.mark.parametrize("query", ["page=0", "page=x", "per_page=-1", "per_page="])
def test_a_page_number_that_is_none_is_refused(raw: httpx.Client, query: str) -> None:
    assert raw.get(f"/v2/tags?{query}").status_code == 400


def test_a_page_holds_at_most_200_items(service: Service, raw: httpx.Client) -> None:
    with service.cloud.backend.store.transaction() as db:
        db.executemany("INSERT INTO tags VALUES (?)", [(f"tag-{number}",) for number in range(201)])
    assert len(raw.get("/v2/tags?per_page=500").json()["tags"]) == 200


def test_calls_are_counted_and_refused_when_the_hour_is_used_up(server: Server, tmp_path: Path) -> None:
    with server.serving(tmp_path) as service, service.digitalocean() as client:
        service.switch(calls_an_hour=3)
        answers = [client.get("/v2/account") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
        assert {answer.headers["ratelimit-limit"] for answer in answers} == {"3"}
        assert answers[3].json()["id"] == "too_many_requests"
        assert 0 < int(answers[3].headers["retry-after"]) <= 3600


def test_strangers_do_not_use_up_the_accounts_calls(server: Server, tmp_path: Path) -> None:
    with server.serving(tmp_path) as service, service.digitalocean() as client:
        service.switch(calls_an_hour=2)
        answers = [httpx.get(f"{service.url}/v2/account", verify=False).status_code for _ in range(3)]
        assert answers == [401, 401, 429]
        assert client.get("/v2/account").status_code == 200


def test_a_call_is_forgotten_after_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("lab.cloud.rate_limit.time.time", lambda: clock[0])
    limit = RateLimit()
    assert limit.spend(an_hour=1, a_minute=1).allowed
    refused = limit.spend(an_hour=1, a_minute=1)
    assert (refused.allowed, refused.message) == (False, "API Rate limit exceeded.")
    assert refused.headers["ratelimit-reset"] == "4601"
    clock[0] += 60
    assert limit.spend(an_hour=2, a_minute=1).allowed
    clock[0] += 30
    refused = limit.spend(an_hour=3, a_minute=1)
    assert (refused.allowed, refused.message) == (False, "Too many requests")
    assert (refused.headers["ratelimit-remaining"], refused.headers["retry-after"]) == ("0", "30")
    clock[0] += 3600
    assert limit.spend(an_hour=1, a_minute=1).allowed


def test_the_log_names_each_call_and_no_secret(service: Service, raw: httpx.Client, tmp_path: Path) -> None:
    raw.post("/v2/tags", json={"name": "told"})
    raw.post("/v2/droplets", json={"name": "x", "size": "none", "image": "none", "user_data": "hush-hush"})
    log = (tmp_path / "api.log").read_text()
    assert re.search(r"POST /v2/tags 201 \d+ ms", log)
    assert re.search(r"POST /v2/droplets 422 \d+ ms", log)
    for secret in (service.cloud.tokens.digitalocean, service.cloud.tokens.cloudflare, "hush-hush"):
        assert secret not in log


def test_a_wrongly_typed_field_is_named_without_its_value(raw: httpx.Client) -> None:
    answer = raw.post("/v2/droplets", json={"name": "x", "size": "s-1vcpu-1gb", "user_data": {"hush": "hush"}})
    assert answer.status_code == 422
    assert "image: Field required" in answer.json()["message"]
    assert "user_data: Input should be a valid string" in answer.json()["message"]
    assert "hush" not in answer.text
