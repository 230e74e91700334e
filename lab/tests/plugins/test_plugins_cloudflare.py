"""The cloudflare stand-in against the lab's API."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lab.cloud import ZONE_ID
from lab.plugins import cloudflare
from lab.plugins.cloudflare import CloudflarePlugin
from lab.plugins.resource import PluginError
from lab.plugins.values import UNKNOWN
from lab.tests.cloud.service import Service
from lab.tests.plugins.recording import Recorder
from lab.tests.plugins.steps import Steps, bare

RECORD = "cloudflare:index/dnsRecord:DnsRecord"


def inputs(**more: Any) -> dict[str, Any]:
    return {
        "zoneId": ZONE_ID,
        "name": "etcd-0.lab.triplane.test",
        "type": "A",
        "content": "198.19.0.10",
        "ttl": 60,
        "proxied": False,
    } | more


def made(plugin: CloudflarePlugin, **more: Any) -> Steps:
    record = Steps(plugin, RECORD)
    record.create(**inputs(**more))
    return record


def test_a_record_is_made_by_one_call(flare: CloudflarePlugin, calls: Recorder) -> None:
    record = made(flare)
    assert calls.body("POST") == {
        "name": "etcd-0.lab.triplane.test",
        "type": "A",
        "content": "198.19.0.10",
        "ttl": 60,
        "proxied": False,
    }
    assert calls.take() == ["POST /client/v4/zones/ID/dns_records"]
    assert re.fullmatch("[0-9a-f]{32}", record.id)
    assert record.outputs["zoneId"] == ZONE_ID
    assert {"createdOn", "modifiedOn", "meta", "proxiable"} <= set(record.outputs)


def test_a_record_that_is_as_asked_for_does_not_differ(flare: CloudflarePlugin, calls: Recorder) -> None:
    record = made(flare)
    calls.take()
    assert record.diff(**inputs()) == {}
    assert calls.take() == []
    assert record.refresh()
    assert calls.take() == ["GET /client/v4/zones/ID/dns_records/ID"]
    assert record.diff(**inputs()) == {}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"content": "198.19.0.11"}, {"content": False}),
        ({"ttl": 120}, {"ttl": False}),
        ({"name": "etcd-1.lab.triplane.test"}, {"name": False}),
        ({"proxied": True, "ttl": 1}, {"proxied": False, "ttl": False}),
        ({"proxied": None}, {}),
        ({"type": "TXT"}, {"type": True}),
        ({"zoneId": "0" * 32}, {"zoneId": True}),
    ],
)
def test_only_type_and_zone_replace_a_record(
    flare: CloudflarePlugin, change: dict[str, Any], found: dict[str, bool]
) -> None:
    assert made(flare).diff(**inputs(**change)) == found


def test_a_changed_record_is_put_as_a_whole(flare: CloudflarePlugin, calls: Recorder) -> None:
    record = made(flare)
    calls.take()
    planned = bare(record.preview_update(**inputs(content="198.19.0.11")))
    assert planned["content"] == "198.19.0.11"
    assert planned["modifiedOn"] is UNKNOWN
    assert calls.take() == []
    record.update(**inputs(content="198.19.0.11"))
    assert set(calls.body("PUT")) == {"content", "name", "proxied", "settings", "tags", "ttl", "type"}
    assert calls.take() == ["PUT /client/v4/zones/ID/dns_records/ID"]
    assert record.outputs["content"] == "198.19.0.11"


def test_a_removed_record_is_gone(flare: CloudflarePlugin, calls: Recorder) -> None:
    record = made(flare)
    calls.take()
    record.delete()
    assert calls.take() == ["DELETE /client/v4/zones/ID/dns_records/ID"]
    assert not record.refresh()
    record.delete()


def test_a_change_made_outside_the_program_shows_after_a_refresh(flare: CloudflarePlugin, service: Service) -> None:
    record = made(flare)
    with service.cloudflare() as client:
        client.patch(f"/zones/{ZONE_ID}/dns_records/{record.id}", json={"content": "198.19.0.99"})
    record.refresh()
    assert record.diff(**inputs()) == {"content": False}


def test_an_import_takes_zone_and_record(flare: CloudflarePlugin) -> None:
    record = made(flare)
    imported = Steps(flare, RECORD, id=f"{ZONE_ID}/{record.id}")
    assert imported.refresh()
    assert imported.diff(**inputs()) == {}
    with pytest.raises(PluginError, match="ZONE_ID/RECORD_ID"):
        Steps(flare, RECORD, id=record.id).refresh()


def test_the_ttl_is_for_the_api_to_refuse(flare: CloudflarePlugin) -> None:
    assert Steps(flare, RECORD).failures(**inputs(ttl=5)) == []
    with pytest.raises(PluginError, match=r"POST .*/dns_records\": 400 .*\(\d+\)"):
        made(flare, ttl=5)


def test_a_preview_asks_nothing_and_needs_no_token(calls: Recorder, clean_environment: None) -> None:
    plugin = cloudflare.plugin()
    plugin.configure({})
    planned = bare(Steps(plugin, RECORD).preview(**inputs()))
    assert planned["content"] == "198.19.0.10"
    assert planned["createdOn"] is UNKNOWN
    assert calls.take() == []
    with pytest.raises(PluginError, match="no Cloudflare token"):
        made(plugin)


def test_a_wrong_token_is_refused_in_the_apis_words(service: Service, clean_environment: None) -> None:
    plugin = cloudflare.plugin()
    plugin.configure({"apiToken": "w" * 40, "baseUrl": f"{service.url}/client/v4"})
    with pytest.raises(PluginError, match=r"40[013] ") as raised:
        made(plugin)
    assert "www" not in str(raised.value)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"type": "B"}, "type: must be one of A, AAAA"),
        ({"zoneId": None}, "zoneId: required, but missing"),
        ({"value": "x"}, "value: unknown property"),
        ({"data": {"flags": 0}}, "data: not in this stand-in"),
        ({"proxied": True}, "ttl must be set to 1"),
    ],
)
def test_bad_inputs_are_named(flare: CloudflarePlugin, wrong: dict[str, Any], complaint: str) -> None:
    assert any(complaint in reason for reason in Steps(flare, RECORD).failures(**inputs(**wrong)))
