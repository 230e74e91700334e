"""digitalocean.Vpc."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from ipaddress import ip_network
from threading import Lock
from typing import ClassVar

from lab.plugins.api import ApiError
from lab.plugins.bridge import Wrapped, bookkeeping
from lab.plugins.diff import Differences
from lab.plugins.digitalocean.client import Client, deadline
from lab.plugins.refresh import refreshed
from lab.plugins.resource import Call, CancelledError, PluginError, Resource, State
from lab.plugins.schema import Field, Fields, Kind
from lab.plugins.values import Properties

DELETE_TIMEOUT = 120.0
LONGEST_PAUSE = 10.0
HAS_MEMBERS = (403, 409)
"""Status codes of the API for a VPC that is in use; it has changed over time."""


def _cidr_rule(text: object) -> str | None:
    try:
        ip_network(str(text))
    except ValueError as error:
        return f"must be a network in CIDR notation: {error}"
    return None


def _description_rule(text: object) -> str | None:
    return None if len(str(text)) <= 255 else "must have at most 255 characters"


class Vpc(Resource):
    """A private network of a region."""

    token = "digitalocean:index/vpc:Vpc"
    wrapped = Wrapped.SDK
    meta = bookkeeping(delete=DELETE_TIMEOUT)
    autoname = True
    inputs: ClassVar[Fields] = {
        "name": Field(required=True),
        "region": Field(required=True, replace=True),
        "description": Field(rule=_description_rule),
        "ipRange": Field(computed=True, replace=True, rule=_cidr_rule),
    }
    outputs: ClassVar[Fields] = {"createdAt": Field(), "default": Field(kind=Kind.BOOLEAN), "vpcUrn": Field()}

    def __init__(self, client: Client) -> None:
        self._client = client
        self._creating = Lock()

    def create(self, inputs: Properties, call: Call) -> State:
        """POST it, one at a time, because the cloud may have to choose a free range; then read it."""
        body = {"name": inputs["name"], "region": inputs["region"]}
        for name, key in (("description", "description"), ("ipRange", "ip_range")):
            if inputs.get(name):
                body[key] = inputs[name]
        with self._creating:
            id_ = self._client.post("/v2/vpcs", body, call)["vpc"]["id"]
        return self._look(id_, inputs, call)

    def read(self, id_: str, state: Properties, inputs: Properties, call: Call) -> State | None:
        """GET it."""
        found = self._client.find(f"/v2/vpcs/{id_}", call)
        if found is None:
            return None
        vpc = found["vpc"]
        created = datetime.fromisoformat(vpc["created_at"]).astimezone(UTC)
        outputs = {
            "name": vpc["name"],
            "region": vpc["region"],
            "description": vpc.get("description") or "",
            "ipRange": vpc["ip_range"],
            "vpcUrn": vpc["urn"],
            "default": vpc.get("default", False),
            "createdAt": created.strftime("%Y-%m-%d %H:%M:%S +0000 UTC"),
        }
        return State(vpc["id"], outputs, refreshed(self.inputs, inputs, outputs))

    def update(self, id_: str, state: Properties, inputs: Properties, changed: Differences, call: Call) -> Properties:
        """PUT name and description, then read it."""
        if changed:
            body = {
                "name": inputs["name"],
                "description": inputs.get("description") or "",
                "default": state.get("default", False),
            }
            self._client.put(f"/v2/vpcs/{id_}", body, call)
        return self._look(id_, inputs, call).outputs

    def delete(self, id_: str, state: Properties, call: Call) -> None:
        """DELETE it, and retry while it has members, or while the API still counts deleted ones."""
        last, pause = deadline(call, DELETE_TIMEOUT), self._client.pace.busy
        while True:
            try:
                return self._client.remove("VPC", f"/v2/vpcs/{id_}", call)
            except ApiError as error:
                if error.status not in HAS_MEMBERS or time.monotonic() > last:
                    raise
            if call.cancelled.wait(pause):
                raise CancelledError(f"VPC {id_}: cancelled while waiting for its members to go")
            pause = min(pause * 2, LONGEST_PAUSE)

    def _look(self, id_: str, inputs: Properties, call: Call) -> State:
        found = self.read(id_, {}, inputs, call)
        if found is None:
            raise PluginError(f"VPC {id_} is gone")
        return found
