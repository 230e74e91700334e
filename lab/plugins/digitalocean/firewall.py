"""digitalocean.Firewall."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from lab.plugins.bridge import Wrapped
from lab.plugins.diff import Differences
from lab.plugins.digitalocean.client import Client
from lab.plugins.digitalocean.tag import TAGS
from lab.plugins.refresh import refreshed
from lab.plugins.resource import Call, PluginError, Resource, State
from lab.plugins.schema import Failure, Field, Fields, Kind
from lab.plugins.values import Properties

STRINGS = Field(kind=Kind.SET, items=Field())
NUMBERS = Field(kind=Kind.SET, items=Field(kind=Kind.INTEGER))

PEERS = {
    "Addresses": ("addresses", STRINGS),
    "DropletIds": ("droplet_ids", NUMBERS),
    "KubernetesIds": ("kubernetes_ids", STRINGS),
    "LoadBalancerUids": ("load_balancer_uids", STRINGS),
    "Tags": ("tags", TAGS),
}
"""A rule's peers: the end of the property's name, and the API's name."""

DIRECTIONS = {
    "inboundRules": ("inbound_rules", "source", "sources"),
    "outboundRules": ("outbound_rules", "destination", "destinations"),
}
"""Per property: the API's name, the first word of its peers' properties, and the API's name of the peers."""


def _rules(prefix: str) -> Field:
    peers = {f"{prefix}{suffix}": replace(spec, implied=[]) for suffix, (_, spec) in PEERS.items()}
    protocol = Field(required=True, choices=("tcp", "udp", "icmp"))
    rule = {"protocol": protocol, "portRange": Field(implied=""), **peers}
    return Field(kind=Kind.SET, items=Field(kind=Kind.OBJECT, fields=rule))


class Firewall(Resource):
    """A cloud firewall, applied by tag or droplet id."""

    token = "digitalocean:index/firewall:Firewall"
    wrapped = Wrapped.SDK
    autoname = True
    inputs: ClassVar[Fields] = {
        "name": Field(required=True),
        "inboundRules": _rules("source"),
        "outboundRules": _rules("destination"),
        "tags": TAGS,
        "dropletIds": NUMBERS,
    }
    outputs: ClassVar[Fields] = {
        "createdAt": Field(),
        "status": Field(),
        "pendingChanges": Field(kind=Kind.LIST),
    }

    def __init__(self, client: Client) -> None:
        self._client = client

    def validate(self, inputs: Properties) -> list[Failure]:
        """Find rules without ports, and firewalls without rules."""
        if not any(inputs.get(name) for name in DIRECTIONS):
            return [Failure("inboundRules", "At least one rule must be specified")]
        failures = []
        for name in DIRECTIONS:
            rules = inputs.get(name)
            for index, rule in enumerate(rules if isinstance(rules, list) else []):
                if isinstance(rule, dict) and rule.get("protocol") in ("tcp", "udp") and not rule.get("portRange"):
                    reason = f"{name}[{index}].portRange: required where the protocol is tcp or udp"
                    failures.append(Failure(name, reason))
        return failures

    def create(self, inputs: Properties, call: Call) -> State:
        """POST it, then read it."""
        id_ = self._client.post("/v2/firewalls", _body(inputs), call)["firewall"]["id"]
        return self._look(id_, inputs, call)

    def read(self, id_: str, state: Properties, inputs: Properties, call: Call) -> State | None:
        """GET it."""
        found = self._client.find(f"/v2/firewalls/{id_}", call)
        if found is None:
            return None
        firewall = found["firewall"]
        outputs: Properties = {
            "name": firewall["name"],
            "status": firewall["status"],
            "createdAt": firewall["created_at"],
            "pendingChanges": [
                {"dropletId": change["droplet_id"], "removing": change["removing"], "status": change["status"]}
                for change in firewall.get("pending_changes") or []
            ],
            "tags": firewall.get("tags") or [],
            "dropletIds": firewall.get("droplet_ids") or [],
        }
        for name, (key, prefix, peers) in DIRECTIONS.items():
            outputs[name] = [_read_rule(rule, prefix, peers) for rule in firewall.get(key) or []]
        return State(id_, outputs, refreshed(self.inputs, inputs, outputs))

    def update(self, id_: str, state: Properties, inputs: Properties, changed: Differences, call: Call) -> Properties:
        """PUT the whole firewall, then read it."""
        self._client.put(f"/v2/firewalls/{id_}", _body(inputs), call)
        return self._look(id_, inputs, call).outputs

    def delete(self, id_: str, state: Properties, call: Call) -> None:
        """DELETE it."""
        self._client.remove("firewall", f"/v2/firewalls/{id_}", call)

    def _look(self, id_: str, inputs: Properties, call: Call) -> State:
        found = self.read(id_, {}, inputs, call)
        if found is None:
            raise PluginError(f"firewall {id_} is gone")
        return found


def _body(inputs: Properties) -> dict[str, Any]:
    body: dict[str, Any] = {
        "name": inputs["name"],
        "tags": inputs.get("tags") or [],
        "droplet_ids": inputs.get("dropletIds") or None,
    }
    for name, (key, prefix, peers) in DIRECTIONS.items():
        body[key] = [_write_rule(rule, prefix, peers) for rule in inputs.get(name) or []]
    return body


def _write_rule(rule: Properties, prefix: str, peers: str) -> dict[str, Any]:
    written: dict[str, Any] = {"protocol": rule["protocol"]}
    if rule.get("portRange"):
        written["ports"] = rule["portRange"]
    written[peers] = {key: rule[f"{prefix}{name}"] for name, (key, _) in PEERS.items() if rule.get(f"{prefix}{name}")}
    return written


def _read_rule(rule: dict[str, Any], prefix: str, peers: str) -> Properties:
    read: Properties = {"protocol": rule["protocol"]}
    ports = rule.get("ports") or ""
    if ports not in ("", "0"):
        read["portRange"] = ports
    elif ports == "0" and rule["protocol"] != "icmp":
        read["portRange"] = "all"  # the API's way to say so
    for name, (key, _) in PEERS.items():
        if members := (rule.get(peers) or {}).get(key):
            read[f"{prefix}{name}"] = members
    return read
