"""cloudflare.DnsRecord."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from lab.plugins.api import ApiError
from lab.plugins.bridge import Wrapped
from lab.plugins.cloudflare.client import Client
from lab.plugins.diff import Differences
from lab.plugins.refresh import refreshed
from lab.plugins.resource import Call, PluginError, Resource, State
from lab.plugins.schema import Failure, Field, Fields, Kind
from lab.plugins.values import Properties

TYPES = (
    *("A", "AAAA", "CAA", "CERT", "CNAME", "DNSKEY", "DS", "HTTPS", "LOC", "MX", "NAPTR", "NS", "OPENPGPKEY"),
    *("PTR", "SMIMEA", "SRV", "SSHFP", "SVCB", "TLSA", "TXT", "URI"),
)

SETTINGS = {name: Field(kind=Kind.BOOLEAN, computed=True) for name in ("ipv4Only", "ipv6Only", "flattenCname")}
SETTINGS_KEYS = {"ipv4Only": "ipv4_only", "ipv6Only": "ipv6_only", "flattenCname": "flatten_cname"}

ABSENT_FLAGS = ("includeShadowMetadata", "privateRouting")
"""Features that this stand-in refuses."""

STAMPS = {
    "createdOn": "created_on",
    "modifiedOn": "modified_on",
    "commentModifiedOn": "comment_modified_on",
    "tagsModifiedOn": "tags_modified_on",
}


def _type_rule(value: object) -> str | None:
    return None if str(value).upper() in TYPES else f"must be one of {', '.join(TYPES)}"


class DnsRecord(Resource):
    """One DNS record."""

    token = "cloudflare:index/dnsRecord:DnsRecord"
    wrapped = Wrapped.FRAMEWORK
    inputs: ClassVar[Fields] = {
        "zoneId": Field(required=True, replace=True),
        "name": Field(required=True),
        "type": Field(required=True, replace=True, rule=_type_rule),
        "ttl": Field(kind=Kind.NUMBER, required=True),
        "content": Field(),
        "data": Field(kind=Kind.ANY),
        "proxied": Field(kind=Kind.BOOLEAN, implied=False),
        "priority": Field(kind=Kind.NUMBER),
        "comment": Field(),
        "tags": Field(kind=Kind.SET, items=Field(), computed=True),
        "settings": Field(kind=Kind.OBJECT, fields=SETTINGS, computed=True),
        **{name: Field(kind=Kind.BOOLEAN, computed=True) for name in ABSENT_FLAGS},
    }
    outputs: ClassVar[Fields] = {
        **{name: Field() for name in STAMPS},
        "meta": Field(),
        "proxiable": Field(kind=Kind.BOOLEAN),
    }
    volatile = frozenset(outputs)

    def __init__(self, client: Client) -> None:
        self._client = client

    def validate(self, inputs: Properties) -> list[Failure]:
        """Refuse `data` (this stand-in has content records only), and a record without content."""
        if inputs.get("data") is not None:
            return [Failure("data", "data: not in this stand-in for the cloudflare plugin; use the official one")]
        for name in ABSENT_FLAGS:
            if inputs.get(name) is True:
                return [Failure(name, f"{name}: not in this stand-in for the cloudflare plugin; use the official one")]
        if inputs.get("proxied") is True and inputs.get("ttl") != 1:
            return [Failure("ttl", "ttl must be set to 1 when `proxied` is true")]
        return []

    def create(self, inputs: Properties, call: Call) -> State:
        """POST it."""
        record = self._client.request("POST", f"/zones/{inputs['zoneId']}/dns_records", call, _body(inputs))
        return State(record["id"], _outputs(record, inputs["zoneId"]), inputs)

    def read(self, id_: str, state: Properties, inputs: Properties, call: Call) -> State | None:
        """GET it; an import's id is ZONE/RECORD."""
        zone = state.get("zoneId") or inputs.get("zoneId")
        if zone is None:
            zone, _, id_ = id_.partition("/")
            if not id_:
                raise PluginError("to import a DNS record, give its id as ZONE_ID/RECORD_ID")
        try:
            record = self._client.request("GET", f"/zones/{zone}/dns_records/{id_}", call)
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        outputs = _outputs(record, zone)
        return State(record["id"], outputs, refreshed(self.inputs, inputs, outputs))

    def update(self, id_: str, state: Properties, inputs: Properties, changed: Differences, call: Call) -> Properties:
        """PUT the whole record, with the values that the cloud chose itself."""
        body = _body(inputs)
        body["tags"] = inputs.get("tags") or state.get("tags") or []
        settings = inputs.get("settings") or state.get("settings") or {}
        body["settings"] = {key: settings[name] for name, key in SETTINGS_KEYS.items() if name in settings}
        record = self._client.request("PUT", f"/zones/{inputs['zoneId']}/dns_records/{id_}", call, body)
        return _outputs(record, inputs["zoneId"])

    def delete(self, id_: str, state: Properties, call: Call) -> None:
        """DELETE it; a record that no longer exists is not an error."""
        try:
            self._client.request("DELETE", f"/zones/{state['zoneId']}/dns_records/{id_}", call)
        except ApiError as error:
            if error.status != 404:
                raise


def _body(inputs: Properties) -> dict[str, Any]:
    body = {
        "name": inputs["name"],
        "type": inputs["type"],
        "ttl": inputs["ttl"],
        "proxied": bool(inputs.get("proxied")),
    }
    for name in ("content", "priority", "comment", "tags"):
        if inputs.get(name) not in (None, [], ""):
            body[name] = inputs[name]
    if settings := inputs.get("settings"):
        body["settings"] = {key: settings[name] for name, key in SETTINGS_KEYS.items() if name in settings}
    return body


def _outputs(record: dict[str, Any], zone: str) -> Properties:
    outputs: Properties = {"zoneId": zone}
    for name in ("name", "type", "ttl", "content", "proxied", "proxiable", "priority", "comment", "tags"):
        if record.get(name) is not None:
            outputs[name] = record[name]
    for name, key in STAMPS.items():
        if record.get(key) is not None:
            outputs[name] = record[key]
    settings = record.get("settings") or {}
    outputs["settings"] = {name: settings[key] for name, key in SETTINGS_KEYS.items() if settings.get(key) is not None}
    outputs["meta"] = json.dumps(record.get("meta") or {}, separators=(",", ":"))
    return outputs
