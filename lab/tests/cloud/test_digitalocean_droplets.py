from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Interface
from typing import Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError

from lab.interfaces import Power
from lab.tests.cloud.service import Account, Service
from tests.waiting import wait_for

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f someone@somewhere"
GOOD: dict[str, Any] = {"name": "host", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-12-x64"}


def test_a_droplet_is_new_until_its_machine_runs_and_then_active(
    service: Service, account: Account, digitalocean: Any
) -> None:
    vpc = account.vpc("10.10.0.0/20")
    with service.machines.held("create"):
        created = digitalocean.droplets.create({**GOOD, "vpc_uuid": vpc, "tags": ["blue"]})
        droplet = created["droplet"]
        assert (droplet["status"], droplet["locked"], droplet["networks"]["v4"]) == ("new", True, [])
        (link,) = created["links"]["actions"]
        assert (link["rel"], link["href"]) == ("create", f"{service.url}/v2/actions/{link['id']}")
        assert digitalocean.actions.get(link["id"])["action"]["status"] == "in-progress"
    action = account.finished(link["id"])
    assert (action["status"], action["type"], action["resource_id"]) == ("completed", "create", droplet["id"])
    droplet = digitalocean.droplets.get(droplet["id"])["droplet"]
    assert (droplet["status"], droplet["locked"], droplet["tags"]) == ("active", False, ["blue"])
    assert (droplet["memory"], droplet["vcpus"], droplet["disk"], droplet["vpc_uuid"]) == (1024, 1, 25, vpc)
    assert droplet["networks"]["v4"] == [
        {"ip_address": "198.19.0.10", "netmask": "255.255.255.0", "gateway": "198.19.0.2", "type": "public"},
        {"ip_address": "10.10.0.2", "netmask": "255.255.240.0", "gateway": "10.10.0.1", "type": "private"},
    ]


def test_the_machine_gets_all_that_was_asked_for(service: Service, account: Account, digitalocean: Any) -> None:
    key = digitalocean.ssh_keys.create({"name": "someone", "public_key": KEY})["ssh_key"]
    vpc = account.vpc("10.10.0.0/20")
    droplet = account.droplet(
        "etcd-0.lab.triplane.test",
        ssh_keys=[key["fingerprint"]],
        user_data="#cloud-config",
        tags=["b", "a"],
        vpc_uuid=vpc,
    )
    machine = service.machines.machines[droplet]
    assert (machine.id, machine.name, machine.vpc) == (droplet, "etcd-0.lab.triplane.test", vpc)
    assert (machine.image, machine.size, machine.region) == ("debian-12-x64", "s-1vcpu-1gb", "fra1")
    assert (machine.public, machine.private) == (IPv4Interface("198.19.0.10/24"), IPv4Interface("10.10.0.2/20"))
    assert (machine.public_keys, machine.user_data, machine.tags) == ((KEY,), "#cloud-config", ("a", "b"))


def test_keys_can_be_named_by_id_and_the_image_by_its_number(
    service: Service, account: Account, digitalocean: Any
) -> None:
    key = digitalocean.ssh_keys.create({"name": "someone", "public_key": KEY})["ssh_key"]
    image = digitalocean.images.get("debian-12-x64")["image"]["id"]
    droplets = [account.droplet(ssh_keys=[key["id"]], image=image), account.droplet(ssh_keys=[str(key["id"])])]
    assert {service.machines.machines[droplet].public_keys for droplet in droplets} == {(KEY,)}
    assert {service.machines.machines[droplet].image for droplet in droplets} == {"debian-12-x64"}


def test_several_droplets_come_from_one_call(account: Account, digitalocean: Any) -> None:
    more = {key: value for key, value in GOOD.items() if key != "name"}
    created = digitalocean.droplets.create({**more, "names": ["a", "b"]})
    assert [droplet["name"] for droplet in created["droplets"]] == ["a", "b"]
    assert [account.finished(link["id"])["status"] for link in created["links"]["actions"]] == ["completed"] * 2


def test_a_droplet_without_a_vpc_joins_the_regions_default_vpc(account: Account, digitalocean: Any) -> None:
    droplets = [digitalocean.droplets.get(account.droplet())["droplet"] for _ in range(2)]
    (vpc,) = [vpc for vpc in digitalocean.vpcs.list()["vpcs"] if vpc["region"] == "fra1"]
    assert (vpc["default"], vpc["name"]) == (True, "default-fra1")
    assert {droplet["vpc_uuid"] for droplet in droplets} == {vpc["id"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "under_score"}, "Only valid hostname characters are allowed"),
        ({"name": "-dash"}, "Only valid hostname characters are allowed"),
        ({"name": "a..b"}, "Only valid hostname characters are allowed"),
        ({"name": "x" * 64}, "Only valid hostname characters are allowed"),
        ({"name": ""}, "Only valid hostname characters are allowed"),
        ({"name": None}, "a droplet needs a name"),
        ({"names": ["a"]}, "not both"),
        ({"name": None, "names": []}, "between 1 and 10 droplets"),
        ({"name": None, "names": list("abcdefghijk")}, "between 1 and 10 droplets"),
        ({"size": "s-huge"}, "invalid size for Droplet creation: 's-huge'"),
        ({"region": "mars1"}, "invalid region for Droplet creation: 'mars1'"),
        ({"image": "windows"}, "invalid image for Droplet creation: 'windows'"),
        ({"ssh_keys": ["aa:bb", 7]}, "aa:bb, 7 are invalid key identifiers"),
        ({"vpc_uuid": "5a4981aa-9653-4bd1-bef5-d6bff52042e4"}, "invalid VPC"),
        ({"user_data": "x" * 65537}, "user_data is too long"),
        ({"ipv6": True}, "the lab does not support ipv6"),
        ({"backups": True}, "the lab does not support backups"),
        ({"volumes": ["v"]}, "the lab does not support volumes"),
        ({"public_networking": False}, "the lab does not support public_networking=false"),
    ],
)
def test_a_droplet_that_cannot_be_is_refused_and_nothing_is_made(
    service: Service, raw: httpx.Client, change: dict[str, Any], message: str
) -> None:
    answer = raw.post("/v2/droplets", json={**GOOD, **change})
    assert (answer.status_code, answer.json()["id"]) == (422, "unprocessable_entity")
    assert message in answer.json()["message"]
    assert raw.get("/v2/droplets").json()["meta"] == {"total": 0}
    assert service.machines.machines == {}


def test_a_bad_tag_leaves_no_droplet_behind(raw: httpx.Client) -> None:
    assert raw.post("/v2/droplets", json={**GOOD, "tags": ["fine", "not fine"]}).status_code == 400
    assert raw.get("/v2/droplets").json()["meta"] == raw.get("/v2/tags").json()["meta"] == {"total": 0}


def test_a_vpc_of_another_region_is_refused(account: Account, raw: httpx.Client) -> None:
    answer = raw.post("/v2/droplets", json={**GOOD, "region": "nyc3", "vpc_uuid": account.vpc()})
    assert answer.status_code == 422
    assert "VPC net is in region fra1, the droplet in nyc3" in answer.json()["message"]


def test_more_droplets_than_the_account_may_have_are_refused(raw: httpx.Client) -> None:
    several = {key: value for key, value in GOOD.items() if key != "name"}
    for _ in range(2):
        assert raw.post("/v2/droplets", json={**several, "names": list("abcdefghij")}).status_code == 202
    answer = raw.post("/v2/droplets", json={**several, "names": list("abcdef")})
    message = "creating this/these droplet(s) will exceed your droplet limit"
    assert (answer.status_code, answer.json()["message"]) == (422, message)


def test_concurrent_droplets_get_distinct_ids_and_addresses(service: Service, raw: httpx.Client) -> None:
    names = [f"host-{number}" for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda name: raw.post("/v2/droplets", json={**GOOD, "name": name}), names))
    assert {answer.status_code for answer in answers} == {202}
    wait_for("all machines are there", lambda: len(service.machines.machines) == 12)
    machines = service.machines.machines.values()
    assert len({machine.public for machine in machines}) == len({machine.private for machine in machines}) == 12
    assert sorted(machine.name for machine in machines) == sorted(names)
    assert len({machine.vpc for machine in machines}) == 1


def test_a_new_droplet_gets_the_address_that_was_freed(account: Account, service: Service) -> None:
    first = account.droplet("first")
    account.client.droplets.destroy(first)
    second = account.droplet("second")
    assert second != first
    assert str(service.machines.machines[second].public) == "198.19.0.10/24"


def test_a_full_vpc_takes_a_droplet_only_after_one_leaves(account: Account, raw: httpx.Client) -> None:
    vpc = account.vpc("10.10.0.0/28")  # .0 and .15 are the network's, .1 the gateway's
    droplets = [account.droplet(f"host-{number}", vpc_uuid=vpc) for number in range(13)]
    answer = raw.post("/v2/droplets", json={**GOOD, "vpc_uuid": vpc})
    assert (answer.status_code, "no address is free in VPC" in answer.json()["message"]) == (422, True)
    account.client.droplets.destroy(droplets[4])
    again = account.client.droplets.get(account.droplet(vpc_uuid=vpc))["droplet"]
    assert again["networks"]["v4"][1]["ip_address"] == "10.10.0.6"


def test_droplets_are_found_by_tag_and_by_name(account: Account, digitalocean: Any) -> None:
    account.droplet("one", tags=["odd"])
    account.droplet("two")
    assert [droplet["name"] for droplet in digitalocean.droplets.list(tag_name="odd")["droplets"]] == ["one"]
    assert [droplet["name"] for droplet in digitalocean.droplets.list(name="TWO")["droplets"]] == ["two"]
    assert digitalocean.droplets.list(type="gpus")["droplets"] == []


@pytest.mark.parametrize(
    ("steps", "calls", "status"),
    [
        (["power_off"], ["power_off"], "off"),
        (["shutdown"], ["shutdown"], "off"),
        (["power_off", "shutdown"], ["power_off"], "off"),
        (["reboot"], ["reboot"], "active"),
        (["power_cycle"], ["power_off", "power_on"], "active"),
        (["power_off", "power_on"], ["power_off", "power_on"], "active"),
        (["power_off", "power_cycle"], ["power_off", "power_on"], "active"),
    ],
)
def test_power_actions_do_what_they_say(
    service: Service, account: Account, steps: list[str], calls: list[str], status: str
) -> None:
    droplet = account.droplet()
    service.machines.calls.clear()
    actions = [account.act(droplet, type=step) for step in steps]
    assert [(action["type"], action["status"]) for action in actions] == [(step, "completed") for step in steps]
    assert service.machines.calls == [(call, droplet) for call in calls]
    assert account.status(droplet) == status


def test_an_action_is_in_progress_until_the_machine_has_done_it(service: Service, account: Account) -> None:
    droplet = account.droplet()
    with service.machines.held("shutdown"):
        action = account.client.droplet_actions.post(droplet, {"type": "shutdown"})["action"]
        assert (action["status"], action["completed_at"]) == ("in-progress", None)
        assert account.client.droplets.get(droplet)["droplet"]["locked"]
        with pytest.raises(HttpResponseError, match="Droplet already has a pending event"):
            account.client.droplet_actions.post(droplet, {"type": "power_off"})
    assert account.finished(action["id"])["completed_at"]
    assert not account.client.droplets.get(droplet)["droplet"]["locked"]


def test_a_rename_reaches_the_machine(service: Service, account: Account) -> None:
    droplet = account.droplet("before")
    assert account.act(droplet, type="rename", name="after.example")["status"] == "completed"
    assert account.client.droplets.get(droplet)["droplet"]["name"] == "after.example"
    assert service.machines.machines[droplet].name == "after.example"


@pytest.mark.parametrize(("disk", "gigabytes"), [(True, 80), (False, 25)])
def test_a_resize_changes_the_disk_only_where_it_is_asked_to(
    service: Service, account: Account, *, disk: bool, gigabytes: int
) -> None:
    droplet = account.droplet()
    account.act(droplet, type="power_off")
    assert account.act(droplet, type="resize", disk=disk, size="s-2vcpu-4gb")["status"] == "completed"
    found = account.client.droplets.get(droplet)["droplet"]
    assert (found["size_slug"], found["memory"], found["vcpus"], found["disk"]) == ("s-2vcpu-4gb", 4096, 2, gigabytes)
    assert service.machines.machines[droplet].size == "s-2vcpu-4gb"
    assert account.status(droplet) == "off"


@pytest.mark.parametrize(
    ("off", "action", "message"),
    [
        (False, {"type": "power_on"}, "Droplet is already powered on."),
        (True, {"type": "power_off"}, "Droplet is already powered off."),
        (True, {"type": "reboot"}, "Droplet is already powered off."),
        (False, {"type": "resize", "size": "s-2vcpu-4gb"}, "must be powered off before it can be resized"),
        (True, {"type": "resize", "size": "s-huge"}, "invalid size for Droplet resize: 's-huge'"),
        (True, {"type": "resize", "size": "s-1vcpu-1gb"}, "already of size s-1vcpu-1gb"),
        (True, {"type": "resize", "size": "s-1vcpu-512mb-10gb"}, "a disk cannot shrink"),
        (False, {"type": "rename", "name": "no_name"}, "Only valid hostname characters"),
        (False, {"type": "snapshot"}, "the lab does not support action 'snapshot'"),
    ],
)
def test_an_action_that_cannot_be_is_refused(
    account: Account, raw: httpx.Client, *, off: bool, action: dict[str, Any], message: str
) -> None:
    droplet = account.droplet()
    if off:
        account.act(droplet, type="power_off")
    before = raw.get("/v2/actions").json()["meta"]
    answer = raw.post(f"/v2/droplets/{droplet}/actions", json=action)
    assert answer.status_code == 422
    assert message in answer.json()["message"]
    assert raw.get("/v2/actions").json()["meta"] == before


def test_a_droplet_that_shut_itself_down_shows_as_off(service: Service, account: Account) -> None:
    droplet = account.droplet()
    service.machines.powers[droplet] = Power.OFF
    assert account.status(droplet) == "off"
    assert account.act(droplet, type="power_on")["status"] == "completed"
    assert account.status(droplet) == "active"


def test_actions_can_be_run_on_all_droplets_of_a_tag(account: Account, digitalocean: Any) -> None:
    tagged, other = account.droplet("a", tags=["some"]), account.droplet("b")
    (action,) = digitalocean.droplet_actions.post_by_tag({"type": "power_off"}, tag_name="some")["actions"]
    assert account.finished(action["id"])["resource_id"] == tagged
    assert (account.status(tagged), account.status(other)) == ("off", "active")


def test_a_tag_action_that_one_droplet_refuses_starts_on_none(account: Account, raw: httpx.Client) -> None:
    running, stopped = account.droplet("a", tags=["some"]), account.droplet("b", tags=["some"])
    account.act(stopped, type="power_off")
    answer = raw.post("/v2/droplets/actions", params={"tag_name": "some"}, json={"type": "power_off"})
    assert (answer.status_code, answer.json()["message"]) == (422, "Droplet is already powered off.")
    assert account.status(running) == "active"
    assert not account.client.droplets.get(running)["droplet"]["locked"]
    assert raw.post("/v2/droplets/actions", json={"type": "power_off"}).status_code == 400


def test_actions_are_listed_newest_first_and_outlive_the_droplet(account: Account, digitalocean: Any) -> None:
    droplet, other = account.droplet("a"), account.droplet("b")
    account.act(droplet, type="reboot")
    listed = digitalocean.droplet_actions.list(droplet)["actions"]
    assert [action["type"] for action in listed] == ["reboot", "create"]
    assert digitalocean.droplet_actions.get(droplet, listed[0]["id"])["action"] == listed[0]
    digitalocean.droplets.destroy(droplet)
    everything = digitalocean.actions.list()["actions"]
    assert [action["resource_id"] for action in everything] == [droplet, other, droplet]


def test_a_failed_action_says_why_and_changes_no_droplet(service: Service, account: Account) -> None:
    droplet = account.droplet()
    service.machines.failures["power_off"] = "host: cutting the power: the plug is stuck"
    action = account.act(droplet, type="power_off")
    assert (action["status"], action["message"]) == ("errored", "host: cutting the power: the plug is stuck")
    assert account.status(droplet) == "active"
    service.excuse("'message' was unexpected")  # the lab's own addition to an errored action


def test_a_droplet_without_a_machine_is_off_until_powered_on(service: Service, account: Account) -> None:
    service.machines.failures["create"] = "host: making the disk: no space left on device"
    created = account.client.droplets.create(GOOD)
    droplet = created["droplet"]["id"]
    action = account.finished(created["links"]["actions"][0]["id"])
    assert (action["status"], action["message"]) == ("errored", "host: making the disk: no space left on device")
    assert account.status(droplet) == "off"
    assert ("destroy", droplet) in service.machines.calls
    service.machines.failures.clear()
    assert account.act(droplet, type="power_on")["status"] == "completed"
    assert account.status(droplet) == "active"
    service.excuse("'message' was unexpected")  # the lab's own addition to an errored action


def test_a_deleted_droplet_frees_machine_address_and_memberships(
    service: Service, account: Account, raw: httpx.Client
) -> None:
    vpc = account.vpc()
    droplet = account.droplet(tags=["t"], vpc_uuid=vpc)
    raw.post(
        "/v2/firewalls",
        json={
            "name": "wall",
            "droplet_ids": [droplet],
            "inbound_rules": [{"protocol": "icmp", "sources": {"tags": ["t"]}}],
        },
    )
    assert raw.delete(f"/v2/droplets/{droplet}").status_code == 204
    assert raw.get(f"/v2/droplets/{droplet}").status_code == 404
    assert raw.delete(f"/v2/droplets/{droplet}").status_code == 404
    assert service.machines.machines == {}
    assert service.machines.firewalls == {}
    assert raw.get("/v2/tags/t").json()["tag"]["resources"]["count"] == 0
    assert raw.get("/v2/firewalls").json()["firewalls"][0]["droplet_ids"] == []
    assert raw.get(f"/v2/vpcs/{vpc}/members").json()["members"] == []


def test_deleting_a_droplet_that_is_being_made_waits_for_it(service: Service, raw: httpx.Client) -> None:
    with service.machines.held("create"):
        droplet = raw.post("/v2/droplets", json=GOOD).json()["droplet"]["id"]
        wait_for("create has begun", lambda: ("create", droplet) in service.machines.calls)
        answers: list[int] = []
        thread = threading.Thread(target=lambda: answers.append(raw.delete(f"/v2/droplets/{droplet}").status_code))
        thread.start()
        wait_for("the deletion is asked for", lambda: ("DELETE", f"/v2/droplets/{droplet}") in service.arrived)
        assert raw.get(f"/v2/droplets/{droplet}").json()["droplet"]["status"] == "new"
        assert ("destroy", droplet) not in service.machines.calls
    thread.join(10)
    assert answers == [204]
    assert service.machines.machines == {}


def test_a_droplet_that_was_not_deleted_can_be_deleted_again(
    service: Service, account: Account, raw: httpx.Client
) -> None:
    droplet = account.droplet()
    service.machines.failures["destroy"] = "host: removing the disk: device or resource busy"
    answer = raw.delete(f"/v2/droplets/{droplet}")
    assert (answer.status_code, answer.json()["message"]) == (500, "host: removing the disk: device or resource busy")
    assert raw.get(f"/v2/droplets/{droplet}").status_code == 200
    service.machines.failures.clear()
    assert raw.delete(f"/v2/droplets/{droplet}").status_code == 204


def test_droplets_can_be_deleted_by_tag_and_never_all_by_mistake(account: Account, raw: httpx.Client) -> None:
    account.droplet("a", tags=["gone"])
    kept = account.droplet("b")
    assert raw.delete("/v2/droplets").status_code == 400
    assert raw.delete("/v2/droplets", params={"tag_name": "gone"}).status_code == 204
    assert [droplet["id"] for droplet in raw.get("/v2/droplets").json()["droplets"]] == [kept]


def test_a_droplet_has_no_snapshots_and_no_backups(account: Account, digitalocean: Any) -> None:
    droplet = account.droplet()
    assert digitalocean.droplets.list_snapshots(droplet)["snapshots"] == []
    assert digitalocean.droplets.list_backups(droplet)["backups"] == []


@pytest.mark.parametrize("path", ["99", "0", "x", "99/actions", "99/firewalls", "99/snapshots"])
def test_a_droplet_that_is_not_there_is_not_found(raw: httpx.Client, path: str) -> None:
    assert raw.get(f"/v2/droplets/{path}").status_code == 404
