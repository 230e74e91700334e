from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import httpx
import pytest

from lab.tests.cloud.service import Account

# The key whose fingerprint `ssh-keygen -l -E md5` gives below.
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f someone@somewhere"
FINGERPRINT = "0f:a2:0a:d7:38:3e:65:45:08:6b:63:84:1c:ff:dc:ba"
NEW = {"name": "net", "region": "fra1", "ip_range": "10.10.0.0/20"}


def test_a_vpc_is_made_shown_changed_and_deleted(account: Account, digitalocean: Any) -> None:
    vpc = digitalocean.vpcs.create({**NEW, "description": "ours"})["vpc"]
    assert digitalocean.vpcs.get(vpc["id"])["vpc"] == vpc
    assert (vpc["ip_range"], vpc["default"], vpc["urn"]) == ("10.10.0.0/20", False, f"do:vpc:{vpc['id']}")
    assert digitalocean.vpcs.update(vpc["id"], {"name": "other"})["vpc"]["name"] == "other"
    assert digitalocean.vpcs.patch(vpc["id"], {"description": "theirs"})["vpc"]["description"] == "theirs"
    assert account.own_vpcs() == ["other"]
    digitalocean.vpcs.delete(vpc["id"])
    assert account.own_vpcs() == []


def test_a_vpc_without_a_range_gets_a_free_one(digitalocean: Any) -> None:
    ranges = [
        IPv4Network(digitalocean.vpcs.create({"name": f"net-{number}", "region": "fra1"})["vpc"]["ip_range"])
        for number in range(3)
    ]
    assert {network.prefixlen for network in ranges} == {20}
    assert not any(one.overlaps(other) for one in ranges for other in ranges if one is not other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ip_range": "10.10.0.0/15"}, "10.10.0.0/15"),
        ({"ip_range": "10.0.0.0/8"}, "between /16 and /28"),
        ({"ip_range": "10.10.0.0/29"}, "between /16 and /28"),
        ({"ip_range": "8.8.8.0/24"}, "not a private range"),
        ({"ip_range": "172.32.0.0/16"}, "not a private range"),
        ({"ip_range": "10.10.0.1/24"}, "not a valid network"),
        ({"ip_range": "fd00::/64"}, "not a valid network"),
        ({"ip_range": "ten"}, "not a valid network"),
        ({"ip_range": "10.244.0.0/16"}, "reserved"),
        ({"ip_range": "10.19.8.0/24"}, "overlaps with 10.19.0.0/16, which is reserved in fra1"),
        ({"ip_range": "10.17.8.0/24", "region": "nyc3"}, "overlaps with 10.17.0.0/16, which is reserved in nyc3"),
        ({"ip_range": "10.20.8.0/24"}, "overlaps with another VPC network in your account: 10.20.8.0/24 and taken"),
        ({"ip_range": "10.20.0.0/16"}, "overlaps with another VPC network in your account"),
        ({"region": "mars1"}, "region 'mars1' is invalid"),
        ({"name": "a_b"}, "name 'a_b' is invalid"),
        ({"name": ""}, "name '' is invalid"),
        ({"name": "taken"}, "name 'taken' is taken"),
        ({"description": "x" * 256}, "description"),
    ],
)
def test_a_vpc_that_cannot_be_is_refused(
    account: Account, raw: httpx.Client, change: dict[str, str], message: str
) -> None:
    account.vpc("10.20.0.0/20", "taken")
    answer = raw.post("/v2/vpcs", json={**NEW, **change})
    assert (answer.status_code, answer.json()["id"]) == (422, "unprocessable_entity")
    assert message in answer.json()["message"]
    assert account.own_vpcs() == ["taken"]


@pytest.mark.parametrize("ip_range", ["10.10.0.0/16", "10.17.0.0/16", "172.31.255.0/28", "192.168.0.0/16"])
def test_free_private_ranges_from_16_to_28_are_accepted(account: Account, ip_range: str) -> None:
    assert account.vpc(ip_range)


def test_a_vpc_with_members_cannot_be_deleted(account: Account, raw: httpx.Client) -> None:
    vpc = account.vpc()
    droplet = account.droplet(vpc_uuid=vpc)
    members = raw.get(f"/v2/vpcs/{vpc}/members").json()["members"]
    assert [(member["urn"], member["name"]) for member in members] == [(f"do:droplet:{droplet}", "host")]
    assert raw.get(f"/v2/vpcs/{vpc}/members?resource_type=kubernetes").json()["members"] == []
    answer = raw.delete(f"/v2/vpcs/{vpc}")
    assert (answer.status_code, answer.json()["message"]) == (409, "Can not delete VPC with members")
    raw.delete(f"/v2/droplets/{droplet}")
    assert raw.delete(f"/v2/vpcs/{vpc}").status_code == 204
    assert raw.get(f"/v2/vpcs/{vpc}").status_code == 404


def test_a_regions_default_vpc_stays_until_it_is_replaced(account: Account, raw: httpx.Client) -> None:
    (default,) = [vpc["id"] for vpc in raw.get("/v2/vpcs").json()["vpcs"] if vpc["name"] == "default-fra1"]
    refused = raw.delete(f"/v2/vpcs/{default}")
    assert (refused.status_code, refused.json()["message"]) == (403, "Can not delete default VPCs")
    assert raw.patch(f"/v2/vpcs/{default}", json={"default": False}).status_code == 422
    other = account.vpc()
    assert raw.patch(f"/v2/vpcs/{other}", json={"default": True}).json()["vpc"]["default"] is True
    assert raw.get(f"/v2/vpcs/{default}").json()["vpc"]["default"] is False
    assert raw.delete(f"/v2/vpcs/{default}").status_code == 204


def test_a_key_is_found_by_id_and_by_fingerprint(digitalocean: Any) -> None:
    key = digitalocean.ssh_keys.create({"name": "someone", "public_key": f"{KEY}\n"})["ssh_key"]
    assert (key["fingerprint"], key["public_key"]) == (FINGERPRINT, KEY)
    assert digitalocean.ssh_keys.get(key["id"])["ssh_key"] == key
    assert digitalocean.ssh_keys.get(FINGERPRINT)["ssh_key"] == key
    assert digitalocean.ssh_keys.update(FINGERPRINT, {"name": "else"})["ssh_key"]["name"] == "else"
    assert [found["name"] for found in digitalocean.ssh_keys.list()["ssh_keys"]] == ["else"]
    digitalocean.ssh_keys.delete(FINGERPRINT)
    assert digitalocean.ssh_keys.list()["ssh_keys"] == []


def test_a_key_can_be_in_the_account_only_once(raw: httpx.Client) -> None:
    assert raw.post("/v2/account/keys", json={"name": "a", "public_key": KEY}).status_code == 201
    again = raw.post("/v2/account/keys", json={"name": "b", "public_key": KEY.replace("someone", "nobody")})
    assert (again.status_code, again.json()["message"]) == (422, "SSH Key is already in use on your account")


@pytest.mark.parametrize(
    "public_key",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 !!!",
        "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
        "ssh-dss AAAAB3NzaC1kc3MAAACB",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        f"{KEY}\n{KEY}",
    ],
)
def test_what_is_no_public_key_is_refused(raw: httpx.Client, public_key: str) -> None:
    answer = raw.post("/v2/account/keys", json={"name": "a", "public_key": public_key})
    assert (answer.status_code, "Key invalid" in answer.json()["message"]) == (422, True)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/account/keys/7"),
        ("PUT", "/v2/account/keys/aa:bb"),
        ("DELETE", "/v2/account/keys/7"),
        ("GET", "/v2/vpcs/5a4981aa-9653-4bd1-bef5-d6bff52042e4"),
        ("PUT", "/v2/vpcs/x"),
        ("PATCH", "/v2/vpcs/x"),
        ("DELETE", "/v2/vpcs/x"),
        ("GET", "/v2/vpcs/x/members"),
        ("GET", "/v2/images/windows"),
        ("GET", "/v2/firewalls/x"),
        ("PUT", "/v2/firewalls/x"),
        ("DELETE", "/v2/firewalls/x"),
        ("POST", "/v2/firewalls/x/rules"),
        ("GET", "/v2/actions/7"),
        ("GET", "/v2/actions/x"),
    ],
)
def test_what_is_not_there_is_not_found(raw: httpx.Client, method: str, path: str) -> None:
    body = {"name": "x", "inbound_rules": []} if method in ("PUT", "PATCH", "POST") else None
    answer = raw.request(method, path, json=body)
    assert (answer.status_code, answer.json()["id"]) == (404, "not_found")
