"""Each switch of the lab's cloud, as a client of the APIs sees it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import httpx
import pytest
import yaml

from lab import faults
from lab.cloud import ZONE_ID, digitalocean, tokens
from lab.cloud.digitalocean import ROUTES, scopes
from lab.faults import Faults, FaultsError, Switches
from lab.interfaces import Firewall
from lab.tests.cloud.memory import MemoryMachines
from lab.tests.cloud.service import Account, Server, Service
from tests.waiting import wait_for

GOOD = {"name": "host", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-12-x64"}
NOT_IN_REGION = (422, "Size is not available in this region.")
SSH = {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["0.0.0.0/0"]}}


def said(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["message"]


def test_a_size_missing_in_a_region_is_in_no_list_and_is_refused(raw: httpx.Client) -> None:
    regions = {region["slug"]: region["sizes"] for region in raw.get("/v2/regions").json()["regions"]}
    sizes = {size["slug"]: size["regions"] for size in raw.get("/v2/sizes?per_page=200").json()["sizes"]}
    assert {(size, region) for region, offered in regions.items() for size in offered} == {
        (size, region) for size, offered in sizes.items() for region in offered
    }
    assert "s-2vcpu-4gb" in regions["fra1"]
    assert "s-2vcpu-4gb" not in regions["nyc3"]
    answer = raw.post("/v2/droplets", json={**GOOD, "region": "nyc3", "size": "s-2vcpu-4gb"})
    assert said(answer) == NOT_IN_REGION


@pytest.mark.parametrize("sold_out", ["s-2vcpu-4gb", "fra1/s-2vcpu-4gb"])
def test_a_sold_out_size_is_listed_but_refused(
    service: Service, account: Account, raw: httpx.Client, sold_out: str
) -> None:
    service.switch(sold_out=[sold_out])
    (size,) = [size for size in raw.get("/v2/sizes").json()["sizes"] if size["slug"] == "s-2vcpu-4gb"]
    assert size["available"]
    assert "fra1" in size["regions"]
    vpc = account.vpc()
    assert said(raw.post("/v2/droplets", json={**GOOD, "size": "s-2vcpu-4gb", "vpc_uuid": vpc})) == NOT_IN_REGION
    assert raw.get("/v2/droplets").json()["droplets"] == []
    droplet = account.droplet()
    account.act(droplet, type="power_off")
    action = {"type": "resize", "size": "s-2vcpu-4gb", "disk": True}
    assert said(raw.post(f"/v2/droplets/{droplet}/actions", json=action)) == NOT_IN_REGION
    elsewhere = {**GOOD, "region": "ams3", "size": "s-2vcpu-4gb"}
    assert raw.post("/v2/droplets", json=elsewhere).status_code == (422 if "/" not in sold_out else 202)


def test_each_region_of_a_used_account_has_a_default_vpc(account: Account, raw: httpx.Client) -> None:
    defaults = [vpc for vpc in raw.get("/v2/vpcs").json()["vpcs"] if vpc["default"]]
    assert [vpc["region"] for vpc in defaults] == [
        region["slug"] for region in raw.get("/v2/regions").json()["regions"]
    ]
    vpc = account.vpc()
    assert raw.get(f"/v2/vpcs/{vpc}").json()["vpc"]["default"] is False
    assert raw.delete(f"/v2/vpcs/{vpc}").status_code == 204


def test_the_first_vpc_of_a_region_becomes_its_permanent_default(
    service: Service, account: Account, raw: httpx.Client
) -> None:
    service.switch(fresh_regions=["fra1"])
    assert "fra1" not in {vpc["region"] for vpc in raw.get("/v2/vpcs").json()["vpcs"]}
    first, second = account.vpc(), account.vpc("10.10.16.0/20", "second")
    assert [raw.get(f"/v2/vpcs/{vpc}").json()["vpc"]["default"] for vpc in (first, second)] == [True, False]
    assert said(raw.delete(f"/v2/vpcs/{first}")) == (403, "Can not delete default VPCs")
    assert raw.put(f"/v2/vpcs/{second}", json={"name": "second", "default": True}).status_code == 200
    assert raw.delete(f"/v2/vpcs/{first}").status_code == 204


def test_droplets_beyond_the_accounts_limit_are_refused(service: Service, account: Account, raw: httpx.Client) -> None:
    service.switch(droplet_limit=1)
    assert raw.get("/v2/account").json()["account"]["droplet_limit"] == 1
    account.droplet()
    answer = raw.post("/v2/droplets", json={**GOOD, "name": "one-too-many"})
    assert said(answer) == (422, "creating this/these droplet(s) will exceed your droplet limit")


def test_a_deleted_droplet_is_there_for_a_while_and_locked(
    service: Service, account: Account, raw: httpx.Client
) -> None:
    service.switch(droplet_deletion_seconds=0.01)
    droplet = account.droplet(vpc_uuid=(vpc := account.vpc()))
    with service.machines.held("destroy"):
        assert raw.delete(f"/v2/droplets/{droplet}").status_code == 204
        assert raw.get(f"/v2/droplets/{droplet}").json()["droplet"]["locked"]
        assert raw.delete(f"/v2/vpcs/{vpc}").status_code == 409
        assert raw.delete(f"/v2/droplets/{droplet}").status_code == 204  # as often as one asks
    wait_for("the droplet is gone", lambda: raw.get(f"/v2/droplets/{droplet}").status_code == 404)
    assert [call for call in service.machines.calls if call[0] == "destroy"] == [("destroy", droplet)]
    assert raw.delete(f"/v2/vpcs/{vpc}").status_code == 204


def test_the_next_daemon_finishes_a_slow_deletion(server: Server, tmp_path: Path) -> None:
    machines = MemoryMachines()
    with server.serving(tmp_path, machines) as service:
        service.switch(droplet_deletion_seconds=3600)
        droplet = Account(service).droplet()
        with service.digitalocean() as client:
            client.delete(f"/v2/droplets/{droplet}")
    assert droplet in machines.machines
    with server.serving(tmp_path, machines) as service, service.digitalocean() as client:
        assert client.get(f"/v2/droplets/{droplet}").status_code == 404
    assert machines.machines == {}


def test_a_vpc_counts_a_droplet_for_a_while_after_it_is_gone(
    service: Service, account: Account, raw: httpx.Client
) -> None:
    service.switch(vpc_members_seconds=3600)
    vpc = account.vpc()
    droplet = account.droplet(vpc_uuid=vpc)
    assert raw.delete(f"/v2/droplets/{droplet}").status_code == 204
    assert raw.get(f"/v2/droplets/{droplet}").status_code == 404
    assert said(raw.delete(f"/v2/vpcs/{vpc}")) == (409, "Can not delete VPC with members")
    assert [member["urn"] for member in raw.get(f"/v2/vpcs/{vpc}/members").json()["members"]] == [
        f"do:droplet:{droplet}"
    ]
    with service.cloud.backend.store.transaction() as db:
        db.execute("UPDATE departed SET until = 1")  # an hour later
    assert raw.delete(f"/v2/vpcs/{vpc}").status_code == 204


def test_a_firewall_waits_until_it_is_in_force(service: Service, account: Account, raw: httpx.Client) -> None:
    droplet = account.droplet(tags=["walled"])
    service.switch(firewall_seconds=0.01)
    wall = {"name": "wall", "inbound_rules": [SSH], "tags": ["walled"]}
    with service.machines.held("set_firewalls"):
        firewall = raw.post("/v2/firewalls", json=wall).json()["firewall"]
        assert firewall["status"] == "waiting"
        assert firewall["pending_changes"] == [{"droplet_id": droplet, "removing": False, "status": "waiting"}]
        assert service.machines.firewalls[droplet] is None  # open until then

    def settled() -> bool:
        found = raw.get(f"/v2/firewalls/{firewall['id']}").json()["firewall"]
        return (found["status"], found["pending_changes"]) == ("succeeded", [])

    wait_for("the firewall is in force", settled)
    assert isinstance(service.machines.firewalls[droplet], Firewall)
    with service.machines.held("set_firewalls"):
        raw.request("DELETE", f"/v2/firewalls/{firewall['id']}/tags", json={"tags": ["walled"]})
        found = raw.get(f"/v2/firewalls/{firewall['id']}").json()["firewall"]
        assert found["pending_changes"] == [{"droplet_id": droplet, "removing": True, "status": "waiting"}]
        assert isinstance(service.machines.firewalls[droplet], Firewall)
    wait_for("the firewall is gone from the droplet", settled)
    assert service.machines.firewalls[droplet] is None


def test_a_new_record_is_served_late(service: Service) -> None:
    name = "new.triplane.test"
    with service.cloudflare() as client:
        service.switch(record_seconds=3600)
        body = {"name": name, "type": "A", "content": "198.19.0.10", "ttl": 60}
        assert client.post(f"/zones/{ZONE_ID}/dns_records", json=body).status_code == 200
    assert service.cloud.records.addresses(name) is None
    service.switch(record_seconds=0)
    assert service.cloud.records.addresses(name) is not None


def test_a_record_changes_the_version_that_answers_are_kept_for(service: Service) -> None:
    records = service.cloud.records
    before = records.version()
    assert before is not None
    assert records.addresses("new.triplane.test") is None
    assert records.version() == before
    with service.cloudflare() as client:
        body = {"name": "new.triplane.test", "type": "A", "content": "198.19.0.10", "ttl": 60}
        record = client.post(f"/zones/{ZONE_ID}/dns_records", json=body).json()["result"]["id"]
        made = records.version()
        assert client.delete(f"/zones/{ZONE_ID}/dns_records/{record}").status_code == 200
    assert len({before, made, records.version()}) == 3


@pytest.mark.parametrize("switch", ["record_seconds", "nxdomain_seconds"])
def test_answers_that_depend_on_the_time_are_not_kept(service: Service, switch: str) -> None:
    service.switch(**{switch: 3600})
    assert service.cloud.records.version() is None


def test_both_apis_refuse_calls_in_bursts(service: Service, raw: httpx.Client) -> None:
    service.switch(throttled_every=2, throttled_calls=1)
    answers = [raw.get("/v2/account") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 200, 200]
    assert said(answers[2]) == (429, "Too many requests")
    assert answers[2].headers["retry-after"] == "1"
    with service.cloudflare() as client:
        answers = [client.get("/zones") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["errors"][0]["message"] == "Please wait and consider throttling your request speed"


def test_calls_are_counted_by_the_minute_as_well(service: Service, raw: httpx.Client) -> None:
    service.switch(calls_a_minute=2)
    answers = [raw.get("/v2/account") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert said(answers[2]) == (429, "Too many requests")
    assert answers[2].headers["ratelimit-remaining"] == "0"
    assert 0 < int(answers[2].headers["retry-after"]) <= 60


def test_a_token_does_what_its_scopes_say_and_no_more(service: Service, account: Account) -> None:
    droplet = account.droplet()
    token = tokens.grant(service.directory, tokens.Account.DIGITALOCEAN, ["droplet:read", "droplet:create"])
    with httpx.Client(base_url=service.url, headers={"authorization": f"Bearer {token}"}, verify=False) as client:
        assert client.get(f"/v2/droplets/{droplet}").status_code == 200
        assert client.post("/v2/droplets", json={**GOOD, "name": "other"}).status_code == 202
        refused = [
            client.get("/v2/account"),
            client.get("/v2/sizes"),
            client.delete(f"/v2/droplets/{droplet}"),
            client.post(f"/v2/droplets/{droplet}/actions", json={"type": "reboot"}),
            client.post("/v2/droplets", json={**GOOD, "tags": ["t"]}),
            client.post("/v2/droplets", json={**GOOD, "vpc_uuid": "any"}),
        ]
        assert {said(answer) for answer in refused} == {(403, "You are not authorized to perform this operation")}
        assert {answer.json()["id"] for answer in refused} == {"forbidden"}
        assert client.get("/v2/nowhere").status_code == 404
    assert token not in (service.directory / tokens.SCOPED).read_text()
    assert (service.directory / tokens.SCOPED).stat().st_mode & 0o077 == 0


def test_a_cloudflare_token_does_what_its_permissions_say(service: Service) -> None:
    def asking(*permissions: str) -> httpx.Client:
        token = tokens.grant(service.directory, tokens.Account.CLOUDFLARE, permissions)
        return httpx.Client(
            base_url=f"{service.url}/client/v4", headers={"authorization": f"Bearer {token}"}, verify=False
        )

    records, record = f"/zones/{ZONE_ID}/dns_records", {"name": "a", "type": "A", "content": "198.19.0.10", "ttl": 60}
    with asking("dns_records:edit") as client:
        assert client.get("/user/tokens/verify").status_code == 200
        assert client.post(records, json=record).status_code == 200
        assert client.get(records).status_code == 200  # editing includes reading
        assert client.get(f"/zones/{ZONE_ID}").status_code == 403
        assert client.get("/zones").status_code == 403
    with asking("zone:read", "dns_records:read") as client:
        assert client.get(f"/zones/{ZONE_ID}").status_code == 200
        assert client.get(records).status_code == 200
        answer = client.post(records, json={**record, "name": "b"})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, 10000)


def test_a_token_of_one_account_opens_no_other(service: Service) -> None:
    token = tokens.grant(service.directory, tokens.Account.CLOUDFLARE, ["zone:read"])
    answer = httpx.get(f"{service.url}/v2/account", headers={"authorization": f"Bearer {token}"}, verify=False)
    assert answer.status_code == 401


def test_switches_are_read_again_when_their_file_changes(tmp_path: Path) -> None:
    switches = Switches(tmp_path)
    assert switches.now() == Faults()
    faults.change(tmp_path, ["boot_seconds=45", "sold_out=s-1vcpu-1gb,fra1/c-2"])
    assert switches.now() == Faults(boot_seconds=45, sold_out=("s-1vcpu-1gb", "fra1/c-2"))
    faults.change(tmp_path, ["boot_seconds=20"])
    assert switches.now().sold_out == ("s-1vcpu-1gb", "fra1/c-2")
    faults.clear(tmp_path, ["sold_out"])
    assert switches.now() == Faults(boot_seconds=20)
    faults.clear(tmp_path, [])
    assert switches.now() == Faults()


def test_a_broken_file_leaves_the_last_good_switches_in_force(tmp_path: Path) -> None:
    switches = Switches(tmp_path)
    faults.change(tmp_path, ["droplet_limit=3"])
    assert switches.now().droplet_limit == 3
    (tmp_path / faults.FILE).write_text("droplet_limit: [")
    assert switches.now().droplet_limit == 3
    assert faults.FILE in switches.problem


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("boot_second=4", "there is no switch boot_second: one of sold_out, "),
        ("boot_seconds", "write NAME=VALUE"),
        ("boot_seconds=soon", "boot_seconds: "),
        ("boot_seconds=-1", "boot_seconds: "),
        ("droplet_limit=1.5", "droplet_limit: "),
    ],
)
def test_an_invalid_switch_is_refused_and_nothing_is_written(tmp_path: Path, assignment: str, message: str) -> None:
    with pytest.raises(FaultsError, match=message):
        faults.change(tmp_path, ["calls_a_minute=3", assignment])
    assert faults.load(tmp_path / faults.FILE) == Faults()


def test_the_document_lists_every_switch_as_the_code_has_it() -> None:
    text = (Path(faults.__file__).parents[1] / "docs/lab-faults.md").read_text()
    assert faults.table() in text, f"docs/lab-faults.md does not hold this table:\n\n{faults.table()}"


def test_every_file_with_routes_is_in_the_table_of_routes() -> None:
    for path in Path(digitalocean.__file__).parent.glob("*.py"):
        routes = getattr(import_module(f"lab.cloud.digitalocean.{path.stem}"), "ROUTES", {})
        assert routes.keys() - ROUTES.keys() == set(), path.name


@pytest.mark.parametrize("path", [path for method, path in ROUTES if method == "GET" and "{" not in path])
def test_every_list_of_an_account_can_be_read(raw: httpx.Client, path: str) -> None:
    assert raw.get(path).status_code == 200


def test_scopes_are_those_of_the_published_description() -> None:
    published = yaml.safe_load((Path(__file__).parent / "digitalocean-v2.scopes.yaml").read_text())
    assert {f"{method} {path}": list(scopes.needed(method, path)) for method, path in ROUTES} == published
    assert {scope for named in published.values() for scope in named} <= scopes.ALL
