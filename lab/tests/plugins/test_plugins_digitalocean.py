"""The digitalocean stand-in against the lab's API: the calls that were seen of the official plugin, in its order."""

from __future__ import annotations

import hashlib
import re
import threading
from typing import Any

import pytest

from lab.plugins import digitalocean
from lab.plugins.digitalocean import DigitalOceanPlugin
from lab.plugins.digitalocean.client import Client
from lab.plugins.digitalocean.droplet import DELETE_TIMEOUT, NOT_READ, Droplet
from lab.plugins.digitalocean.vpc import DELETE_TIMEOUT as VPC_DELETE_TIMEOUT
from lab.plugins.resource import CancelledError, PartialError, PluginError
from lab.plugins.schema import Kind
from lab.plugins.values import UNKNOWN
from lab.tests.cloud.service import Service
from lab.tests.plugins.conftest import QUICK
from lab.tests.plugins.recording import Recorder
from lab.tests.plugins.steps import Steps, bare
from tests.waiting import wait_for

TAG = "digitalocean:index/tag:Tag"
VPC = "digitalocean:index/vpc:Vpc"
SSH_KEY = "digitalocean:index/sshKey:SshKey"
DROPLET = "digitalocean:index/droplet:Droplet"
FIREWALL = "digitalocean:index/firewall:Firewall"

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6rJ7LYkmGdeMnZ1oFv5VYbHbQkJ4Cqvx3iE3iPQ6Fh deploy"
USER_DATA = "#cloud-config\nhostname: a\n"

RULES: dict[str, Any] = {
    "inboundRules": [
        {"protocol": "tcp", "portRange": "22", "sourceAddresses": ["198.51.100.0/24", "203.0.113.0/24"]},
        {"protocol": "tcp", "portRange": "2379-2380", "sourceTags": ["lab-etcd"]},
        {"protocol": "icmp", "sourceAddresses": ["0.0.0.0/0"]},
    ],
    "outboundRules": [
        {"protocol": "tcp", "portRange": "all", "destinationAddresses": ["0.0.0.0/0"]},
        {"protocol": "udp", "portRange": "53", "destinationAddresses": ["0.0.0.0/0"]},
    ],
}


def droplet_inputs(**more: Any) -> dict[str, Any]:
    return {"name": "a.example.test", "image": "debian-12-x64", "size": "s-1vcpu-1gb", "region": "fra1"} | more


def made(plugin: DigitalOceanPlugin, token: str, **inputs: Any) -> Steps:
    steps = Steps(plugin, token)
    steps.create(**inputs)
    return steps


def test_a_tag_is_made_looked_at_and_removed(ocean: DigitalOceanPlugin, calls: Recorder) -> None:
    tag = made(ocean, TAG, name="lab-etcd")
    assert calls.body("POST") == {"name": "lab-etcd"}
    assert calls.take() == ["POST /v2/tags", "GET /v2/tags/lab-etcd"]
    assert tag.id == tag.outputs["name"] == "lab-etcd"
    assert tag.outputs["dropletsCount"] == 0
    assert tag.refresh()
    assert calls.take() == ["GET /v2/tags/lab-etcd"]
    assert tag.diff(name="lab-etcd") == {}
    assert tag.diff(name="lab-master") == {"name": True}
    tag.delete()
    assert calls.take() == ["DELETE /v2/tags/lab-etcd"]
    assert not tag.refresh()


def test_a_vpc_is_made_looked_at_and_removed(ocean: DigitalOceanPlugin, calls: Recorder) -> None:
    inputs = {"name": "lab", "region": "fra1", "ipRange": "10.10.0.0/20"}
    vpc = made(ocean, VPC, **inputs)
    assert calls.body("POST") == {"name": "lab", "region": "fra1", "ip_range": "10.10.0.0/20"}
    assert calls.take() == ["POST /v2/vpcs", "GET /v2/vpcs/ID"]
    assert vpc.outputs["vpcUrn"] == f"do:vpc:{vpc.id}"
    assert vpc.outputs["default"] is False or vpc.outputs["default"] is True
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 UTC", vpc.outputs["createdAt"])
    assert vpc.diff(**inputs) == {}
    assert vpc.diff(**inputs | {"ipRange": "10.20.0.0/20"}) == {"ipRange": True}
    assert vpc.diff(**inputs | {"region": "nyc3"}) == {"region": True}
    assert vpc.diff(**inputs | {"description": "ours"}) == {"description": False}
    vpc.update(**inputs | {"description": "ours"})
    assert calls.take() == ["PUT /v2/vpcs/ID", "GET /v2/vpcs/ID"]
    assert vpc.outputs["description"] == "ours"
    vpc.delete()
    assert calls.take() == ["DELETE /v2/vpcs/ID"]


def test_a_vpc_whose_range_the_cloud_chose_does_not_differ(ocean: DigitalOceanPlugin) -> None:
    vpc = made(ocean, VPC, name="lab", region="fra1")
    assert vpc.outputs["ipRange"]
    assert vpc.diff(name="lab", region="fra1") == {}


def test_a_vpc_is_removed_once_its_last_member_is_gone(
    ocean: DigitalOceanPlugin, calls: Recorder, service: Service
) -> None:
    vpc = made(ocean, VPC, name="lab", region="fra1", ipRange="10.10.0.0/20")
    droplet = made(ocean, DROPLET, **droplet_inputs(vpcUuid=vpc.id))
    calls.take()
    gone = threading.Thread(target=vpc.delete)
    gone.start()
    wait_for("a second DELETE", lambda: sum(method == "DELETE" for method, *_ in calls.requests) > 1)
    droplet.delete()
    gone.join(10)
    assert not gone.is_alive()
    assert not vpc.refresh()


def test_an_ssh_key_is_made_looked_at_twice_and_removed(ocean: DigitalOceanPlugin, calls: Recorder) -> None:
    key = made(ocean, SSH_KEY, name="deploy", publicKey=f"{PUBLIC_KEY}\n")
    assert [(method, path.rpartition("/")[0]) for method, path, _ in calls.requests] == [
        ("POST", "/v2/account"),
        ("GET", "/v2/account/keys"),
        ("GET", "/v2/account/keys"),
    ]
    assert calls.body("POST") == {"name": "deploy", "public_key": f"{PUBLIC_KEY}\n"}
    calls.take()
    assert re.fullmatch(r"([0-9a-f]{2}:){15}[0-9a-f]{2}", key.outputs["fingerprint"])
    assert key.diff(name="deploy", publicKey=PUBLIC_KEY) == {}
    assert key.diff(name="deploy", publicKey=PUBLIC_KEY.replace("J6r", "J6s")) == {"publicKey": True}
    assert key.diff(name="other", publicKey=PUBLIC_KEY) == {"name": False}
    key.update(name="other", publicKey=PUBLIC_KEY)
    assert calls.take() == ["PUT /v2/account/keys/ID", "GET /v2/account/keys/ID"]
    key.delete()
    assert calls.take() == ["DELETE /v2/account/keys/ID"]


def test_a_droplet_is_made_and_waited_for(ocean: DigitalOceanPlugin, calls: Recorder) -> None:
    vpc = made(ocean, VPC, name="lab", region="fra1", ipRange="10.10.0.0/20")
    key = made(ocean, SSH_KEY, name="deploy", publicKey=PUBLIC_KEY)
    calls.take()
    droplet = made(
        ocean,
        DROPLET,
        **droplet_inputs(
            vpcUuid=vpc.id, userData=USER_DATA, sshKeys=[key.outputs["fingerprint"]], tags=["etcd"], monitoring=True
        ),
    )
    assert calls.body("POST") == {
        "name": "a.example.test",
        "region": "fra1",
        "size": "s-1vcpu-1gb",
        "image": "debian-12-x64",
        "ssh_keys": [key.outputs["fingerprint"]],
        "backups": False,
        "ipv6": False,
        "private_networking": False,
        "monitoring": True,
        "user_data": USER_DATA,
        "tags": ["etcd"],
        "vpc_uuid": vpc.id,
    }
    assert calls.take() == ["POST /v2/droplets", "GET /v2/droplets/ID"]
    out = droplet.outputs
    assert out["status"] == "active"
    assert out["dropletUrn"] == f"do:droplet:{droplet.id}"
    assert out["ipv4Address"].startswith("198.19.0.")
    assert out["ipv4AddressPrivate"].startswith("10.10.")
    assert out["userData"] == hashlib.sha1(USER_DATA.encode()).hexdigest()
    assert (out["memory"], out["vcpus"]) == (1024, 1)
    assert out["locked"] is False
    assert out["resizeDisk"] is True
    assert set(droplet.inputs["__defaults"]) == {"backups", "gracefulShutdown", "ipv6", "monitoring", "resizeDisk"} - {
        "monitoring"
    }


def test_a_flag_of_a_droplet_is_refused_or_comes_back(ocean: DigitalOceanPlugin) -> None:
    flags = [name for name, field in Droplet.inputs.items() if field.kind is Kind.BOOLEAN and name not in NOT_READ]
    taken = [flag for flag in flags if not ocean.resource(DROPLET).validate({flag: True})]
    outputs = made(ocean, DROPLET, **droplet_inputs(**dict.fromkeys(taken, True))).outputs
    assert [flag for flag in taken if outputs[flag] is not True] == []


def test_a_droplet_that_is_as_asked_for_does_not_differ(ocean: DigitalOceanPlugin, calls: Recorder) -> None:
    inputs = droplet_inputs(userData=USER_DATA, tags=["etcd", "Lab-etcd"])
    droplet = made(ocean, DROPLET, **inputs)
    calls.take()
    assert droplet.diff(**inputs) == {}
    assert droplet.diff(**inputs | {"tags": ["lab-etcd", "etcd"], "region": "FRA1"}) == {}
    assert calls.take() == []
    assert droplet.refresh()
    assert calls.take() == ["GET /v2/droplets/ID"]
    assert droplet.diff(**inputs) == {}
    assert droplet.inputs["userData"] == USER_DATA


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"userData": "#cloud-config\nhostname: b\n"}, "userData"),
        ({"userData": None}, "userData"),
        ({"userData": UNKNOWN}, "userData"),
        ({"image": "debian-13-x64"}, "image"),
        ({"region": "nyc3"}, "region"),
        ({"sshKeys": ["aa:bb"]}, "sshKeys"),
        ({"vpcUuid": "00000000-0000-4000-8000-000000000000"}, "vpcUuid"),
        ({"monitoring": True}, "monitoring"),
        ({"dropletAgent": False}, "dropletAgent"),
    ],
)
def test_what_cannot_change_in_place_replaces_a_droplet(
    ocean: DigitalOceanPlugin, change: dict[str, Any], path: str
) -> None:
    inputs = droplet_inputs(userData=USER_DATA)
    assert made(ocean, DROPLET, **inputs).diff(**inputs | change) == {path: True}


def test_a_changed_size_powers_the_droplet_off_and_on_again(
    ocean: DigitalOceanPlugin, calls: Recorder, service: Service
) -> None:
    droplet = made(ocean, DROPLET, **droplet_inputs())
    calls.take()
    service.machines.calls.clear()
    change = droplet_inputs(size="s-2vcpu-2gb")
    assert droplet.diff(**change) == {"size": False}
    assert bare(droplet.preview_update(**change))["ipv4Address"] == droplet.outputs["ipv4Address"]
    assert calls.take() == []
    droplet.update(**change)
    actions = [body["type"] for method, path, body in calls.requests if path.endswith("/actions")]
    assert actions == ["power_off", "resize", "power_on"]
    assert next(body for *_, body in calls.requests if body and body["type"] == "resize") == {
        "type": "resize",
        "disk": True,
        "size": "s-2vcpu-2gb",
    }
    assert calls.take() == [
        "POST /v2/droplets/ID/actions",
        "GET /v2/droplets/ID",
        "POST /v2/droplets/ID/actions",
        "GET /v2/actions/ID",
        "POST /v2/droplets/ID/actions",
        "GET /v2/droplets/ID",
    ]
    assert (droplet.outputs["size"], droplet.outputs["status"]) == ("s-2vcpu-2gb", "active")
    assert droplet.outputs["memory"] == 2048


def test_a_changed_name_renames_the_droplet(ocean: DigitalOceanPlugin, calls: Recorder) -> None:
    droplet = made(ocean, DROPLET, **droplet_inputs())
    calls.take()
    change = droplet_inputs(name="b.example.test")
    assert droplet.diff(**change) == {"name": False}
    droplet.update(**change)
    assert calls.body("POST") == {"type": "rename", "name": "b.example.test"}
    assert calls.take() == ["POST /v2/droplets/ID/actions", "GET /v2/droplets/ID"]
    assert droplet.outputs["name"] == "b.example.test"


def test_changed_tags_are_put_on_and_taken_off_one_by_one(ocean: DigitalOceanPlugin, calls: Recorder) -> None:
    droplet = made(ocean, DROPLET, **droplet_inputs(tags=["etcd", "old"]))
    calls.take()
    change = droplet_inputs(tags=["etcd", "new"])
    assert set(droplet.diff(**change).values()) == {False}
    droplet.update(**change)
    resources = {"resources": [{"resource_id": droplet.id, "resource_type": "droplet"}]}
    assert calls.body("DELETE") == calls.body("POST") == resources
    assert calls.take() == [
        "DELETE /v2/tags/old/resources",
        "POST /v2/tags",
        "POST /v2/tags/new/resources",
        "GET /v2/droplets/ID",
    ]
    assert sorted(droplet.outputs["tags"]) == ["etcd", "new"]


def test_a_droplet_is_shut_down_first_if_so_asked(ocean: DigitalOceanPlugin, calls: Recorder) -> None:
    droplet = made(ocean, DROPLET, **droplet_inputs(gracefulShutdown=True))
    calls.take()
    droplet.delete()
    assert calls.body("POST") == {"type": "shutdown"}
    assert calls.take() == [
        "GET /v2/droplets/ID",
        "POST /v2/droplets/ID/actions",
        "GET /v2/droplets/ID",
        "DELETE /v2/droplets/ID",
        "GET /v2/droplets/ID",
    ]
    assert not droplet.refresh()


@pytest.mark.parametrize(
    ("token", "inputs", "path", "complaint"),
    [
        (TAG, {"name": "x"}, "tags", "Error deleting tag: DELETE .*: 404 "),
        (VPC, {"name": "x", "region": "fra1"}, "vpcs", "Error deleting VPC: DELETE .*: 404 "),
        (SSH_KEY, {"name": "x", "publicKey": PUBLIC_KEY}, "account/keys", "Error deleting SSH key: DELETE .*: 404 "),
        (FIREWALL, {"name": "etcd", **RULES}, "firewalls", "Error deleting firewall: DELETE .*: 404 "),
        (
            DROPLET,
            droplet_inputs(),
            "droplets",
            r"Error waiting for droplet to be unlocked for destroy \(\d+\): unexpected state 'Not Found', wanted",
        ),
    ],
)
def test_deleting_missing_resources_fails_until_a_refresh(
    ocean: DigitalOceanPlugin, service: Service, token: str, inputs: dict[str, Any], path: str, complaint: str
) -> None:
    if token == FIREWALL:
        made(ocean, TAG, name="lab-etcd")
    gone = made(ocean, token, **inputs)
    with service.digitalocean() as client:
        assert client.delete(f"/v2/{path}/{gone.id}").status_code == 204
        wait_for("it is gone", lambda: client.get(f"/v2/{path}/{gone.id}").status_code == 404)
    with pytest.raises(PluginError, match=complaint):
        gone.delete()
    assert not gone.refresh()


@pytest.mark.parametrize("timeout", [None, 0.5])
def test_a_slow_droplet_deletion_times_out_at_the_programs_limit(
    ocean: DigitalOceanPlugin, monkeypatch: pytest.MonkeyPatch, timeout: float | None
) -> None:
    assert DELETE_TIMEOUT == 60
    if timeout is None:
        monkeypatch.setattr("lab.plugins.digitalocean.droplet.DELETE_TIMEOUT", 0.5)
    droplet = made(ocean, DROPLET, **droplet_inputs())
    call = droplet.call
    object.__setattr__(call, "timeout", timeout)
    monkeypatch.setattr(Client, "delete", lambda *_: None)  # taken, and nothing comes of it
    with pytest.raises(PluginError, match="Error deleting droplet: context deadline exceeded"):
        ocean.delete(DROPLET, droplet.id, droplet.outputs, call)
    assert droplet.refresh()


def test_a_vpc_with_members_is_retried_until_the_timeout(ocean: DigitalOceanPlugin, calls: Recorder) -> None:
    assert VPC_DELETE_TIMEOUT == 120
    vpc = made(ocean, VPC, name="lab", region="fra1", ipRange="10.10.0.0/20")
    made(ocean, DROPLET, **droplet_inputs(vpcUuid=vpc.id))
    call = vpc.call
    object.__setattr__(call, "timeout", 2)
    with pytest.raises(PluginError, match=r"Error deleting VPC: DELETE .*: 40[39] "):
        ocean.delete(VPC, vpc.id, vpc.outputs, call)
    assert sum(method == "DELETE" for method, *_ in calls.requests) > 1


def test_a_firewall_is_made_changed_as_a_whole_and_removed(ocean: DigitalOceanPlugin, calls: Recorder) -> None:
    made(ocean, TAG, name="lab-etcd")
    calls.take()
    firewall = made(ocean, FIREWALL, name="etcd", tags=["lab-etcd"], **RULES)
    assert calls.body("POST") == {
        "name": "etcd",
        "tags": ["lab-etcd"],
        "droplet_ids": None,
        "inbound_rules": [
            {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["198.51.100.0/24", "203.0.113.0/24"]}},
            {"protocol": "tcp", "ports": "2379-2380", "sources": {"tags": ["lab-etcd"]}},
            {"protocol": "icmp", "sources": {"addresses": ["0.0.0.0/0"]}},
        ],
        "outbound_rules": [
            {"protocol": "tcp", "ports": "all", "destinations": {"addresses": ["0.0.0.0/0"]}},
            {"protocol": "udp", "ports": "53", "destinations": {"addresses": ["0.0.0.0/0"]}},
        ],
    }
    assert calls.take() == ["POST /v2/firewalls", "GET /v2/firewalls/ID"]
    assert firewall.diff(name="etcd", tags=["lab-etcd"], **RULES) == {}
    turned = {name: list(reversed(rules)) for name, rules in RULES.items()}
    assert firewall.diff(name="etcd", tags=["lab-etcd"], **turned) == {}
    firewall.refresh()
    assert calls.take() == ["GET /v2/firewalls/ID"]
    assert firewall.diff(name="etcd", tags=["lab-etcd"], **RULES) == {}
    fewer = RULES | {"inboundRules": RULES["inboundRules"][1:]}
    assert firewall.diff(name="etcd", tags=["lab-etcd"], **fewer) == {"inboundRules[0]": False}
    firewall.update(name="etcd", tags=["lab-etcd"], **fewer)
    assert len(calls.body("PUT")["inbound_rules"]) == 2
    assert calls.take() == ["PUT /v2/firewalls/ID", "GET /v2/firewalls/ID"]
    firewall.delete()
    assert calls.take() == ["DELETE /v2/firewalls/ID"]
    assert not firewall.refresh()


def test_a_rule_taken_away_behind_the_programs_back_comes_back(ocean: DigitalOceanPlugin, service: Service) -> None:
    made(ocean, TAG, name="lab-etcd")
    firewall = made(ocean, FIREWALL, name="ssh", **RULES)
    rule = {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["198.51.100.0/24", "203.0.113.0/24"]}}
    with service.digitalocean() as client:
        gone = client.request("DELETE", f"/v2/firewalls/{firewall.id}/rules", json={"inbound_rules": [rule]})
        assert gone.status_code == 204
    assert firewall.diff(name="ssh", **RULES) == {}
    firewall.refresh()
    assert firewall.diff(name="ssh", **RULES) == {"inboundRules[0]": False}


def test_an_imported_droplet_has_inputs_that_would_create_it(ocean: DigitalOceanPlugin) -> None:
    droplet = made(ocean, DROPLET, **droplet_inputs(tags=["etcd"]))
    imported = Steps(ocean, DROPLET, id=droplet.id)
    assert imported.refresh()
    assert imported.inputs["image"] == "debian-12-x64"
    assert imported.diff(**droplet_inputs(tags=["etcd"])) == {}


def test_a_preview_asks_nothing_of_the_cloud_and_needs_no_token(calls: Recorder, clean_environment: None) -> None:
    plugin = digitalocean.plugin(QUICK)
    plugin.configure({})
    planned = bare(Steps(plugin, DROPLET).preview(**droplet_inputs(userData=USER_DATA)))
    assert planned["name"] == "a.example.test"
    assert planned["userData"] == hashlib.sha1(USER_DATA.encode()).hexdigest()
    for name in ("ipv4Address", "ipv4AddressPrivate", "dropletUrn", "vpcUuid", "status", "volumeIds"):
        assert planned[name] is UNKNOWN
    assert calls.take() == []
    with pytest.raises(PluginError, match="no DigitalOcean token: set it with `pulumi config set --secret"):
        made(plugin, TAG, name="x")


def test_a_wrong_token_shows_and_is_not_in_the_error(service: Service, clean_environment: None) -> None:
    plugin = digitalocean.plugin(QUICK)
    plugin.configure({"token": "dop_v1_wrong", "apiEndpoint": service.url})
    with pytest.raises(PluginError, match=r"POST http://127.0.0.1:\d+/v2/tags: 401 .*Unable to authenticate") as raised:
        made(plugin, TAG, name="x")
    assert "dop_v1" not in str(raised.value)


def test_the_token_and_address_can_come_from_the_environment(
    service: Service, clean_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", service.cloud.tokens.digitalocean)
    monkeypatch.setenv("DIGITALOCEAN_API_URL", service.url)
    plugin = digitalocean.plugin(QUICK)
    config, failures = plugin.check_config({"version": "4.84.1"})
    assert not failures
    plugin.configure(config)
    assert made(plugin, TAG, name="x").id == "x"


def test_an_api_that_is_not_there_is_named(clean_environment: None) -> None:
    plugin = digitalocean.plugin(QUICK)
    plugin.configure({"token": "t", "apiEndpoint": "http://127.0.0.1:1", "httpRetryMax": "1"})
    with pytest.raises(PluginError, match=r"http://127.0.0.1:1/v2/tags: no answer from the API: .*refused"):
        made(plugin, TAG, name="x")


def test_the_apis_own_words_are_in_the_error(ocean: DigitalOceanPlugin) -> None:
    with pytest.raises(PluginError, match=r"POST .*/v2/droplets: 422 \(request \"[0-9a-f-]+\"\) .*size"):
        made(ocean, DROPLET, **droplet_inputs(size="s-99vcpu"))


def test_a_droplet_that_fails_to_boot_stays_in_the_state(ocean: DigitalOceanPlugin, service: Service) -> None:
    droplet = Steps(ocean, DROPLET)
    with service.machines.held("create"):
        interrupted = threading.Timer(0.1, ocean.cancel)
        interrupted.start()
        with pytest.raises(PartialError, match="cancelled while waiting for droplet") as raised:
            droplet.create(**droplet_inputs())
    assert raised.value.outputs["status"] == "new"
    ocean.cancelled.clear()
    droplet.id, droplet.outputs = raised.value.id, raised.value.outputs
    droplet.update(**droplet_inputs())
    assert droplet.outputs["status"] == "active"


def test_the_next_run_powers_on_a_droplet_that_failed_to_boot(ocean: DigitalOceanPlugin, service: Service) -> None:
    droplet = Steps(ocean, DROPLET)
    service.machines.failures["create"] = "no space left on device"
    with pytest.raises(PartialError, match="unexpected state 'off', wanted target 'active'") as raised:
        droplet.create(**droplet_inputs())
    droplet.id, droplet.outputs = raised.value.id, raised.value.outputs
    service.machines.failures.clear()
    droplet.update(**droplet_inputs())
    assert droplet.outputs["status"] == "active"


def test_custom_timeouts_end_the_waiting(ocean: DigitalOceanPlugin, service: Service) -> None:
    droplet = Steps(ocean, DROPLET)
    call = droplet.call
    object.__setattr__(call, "timeout", 0.05)
    with (
        service.machines.held("create"),
        pytest.raises(PartialError, match="timeout while waiting for state to become"),
    ):
        ocean.create(DROPLET, droplet.checked(**droplet_inputs()), call, preview=False)


def test_nothing_is_started_once_cancelled(ocean: DigitalOceanPlugin, service: Service) -> None:
    droplet = made(ocean, DROPLET, **droplet_inputs())
    ocean.cancel()
    with pytest.raises(CancelledError):
        droplet.delete()
    assert droplet.refresh()


@pytest.mark.parametrize(
    ("token", "inputs", "complaint"),
    [
        (DROPLET, {"image": "x"}, "size: required, but missing"),
        (DROPLET, droplet_inputs(labels=["x"]), "labels: unknown property; known here are backupPolicy"),
        (DROPLET, droplet_inputs(tags=["a b"]), "tags[0]: a tag has letters"),
        (DROPLET, droplet_inputs(monitoring="maybe"), "monitoring: must be of type boolean, not string"),
        (DROPLET, droplet_inputs(ipv6=True), "ipv6: not in this stand-in"),
        (FIREWALL, {"name": "f"}, "At least one rule must be specified"),
        (FIREWALL, {"inboundRules": [{"protocol": "tcp"}]}, "inboundRules[0].portRange: required"),
        (FIREWALL, {"inboundRules": [{"protocol": "sctp"}]}, "inboundRules[0].protocol: must be one of tcp, udp, icmp"),
        (FIREWALL, {"inboundRules": [{"protocol": "icmp", "sourceTag": []}]}, "inboundRules[0].sourceTag: unknown"),
        (VPC, {"region": "fra1", "ipRange": "10.10.0.0/33"}, "ipRange: must be a network in CIDR notation"),
    ],
)
def test_bad_inputs_are_named(ocean: DigitalOceanPlugin, token: str, inputs: dict[str, Any], complaint: str) -> None:
    assert any(complaint in reason for reason in Steps(ocean, token).failures(**inputs))


def test_a_resource_without_a_name_gets_one_and_keeps_it(ocean: DigitalOceanPlugin) -> None:
    vpc = Steps(ocean, VPC, name="net")
    vpc.create(region="fra1")
    assert vpc.inputs["name"] == "net-0a0b0c0"
    assert vpc.inputs["__defaults"] == ["name"]
    assert vpc.diff(region="fra1") == {}


def test_numbers_and_flags_may_come_as_text(ocean: DigitalOceanPlugin) -> None:
    checked = Steps(ocean, FIREWALL).checked(name="f", dropletIds=["12"], **RULES)
    assert checked["dropletIds"] == [12]
    assert Steps(ocean, DROPLET).checked(**droplet_inputs(monitoring="true"))["monitoring"] is True
