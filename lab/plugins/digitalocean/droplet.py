"""digitalocean.Droplet."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from typing import Any, ClassVar, Final

from lab.plugins.api import ApiError
from lab.plugins.bridge import Wrapped, bookkeeping
from lab.plugins.diff import Differences
from lab.plugins.digitalocean.client import Client, OverdueError, UnexpectedError, deadline, segment
from lab.plugins.digitalocean.tag import TAGS
from lab.plugins.refresh import refreshed
from lab.plugins.resource import Call, CancelledError, PartialError, PluginError, Resource, State
from lab.plugins.schema import Failure, Field, Fields, Kind
from lab.plugins.values import Properties

CREATE_TIMEOUT: Final = 3600.0
UPDATE_TIMEOUT: Final = 3600.0
DELETE_TIMEOUT: Final = 60.0
"""For all waits of a deletion. The official plugin spends 20 s of them before it looks for the first time."""
NOT_FOUND: Final = "Not Found"
ACTION_TIMEOUT: Final = 3600.0

NOT_READ: Final = ("image", "userData", "sshKeys", "gracefulShutdown", "resizeDisk", "dropletAgent", "backupPolicy")
"""Inputs that the API does not return, or returns in another form (an image's slug moves): the state keeps them."""


def _not_empty(value: object) -> str | None:
    return None if value else "must not be empty"


def _lower(value: object) -> object:
    return str(value).lower()


def _digest(value: object) -> object:
    """Return the SHA-1 that the state holds instead of the user data; a digest is returned as it is."""
    text = str(value)
    if not text or re.fullmatch(r"[0-9a-f]{40}", text):
        return text
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


FLAG = Field(kind=Kind.BOOLEAN, default=False)
INTEGER = Field(kind=Kind.INTEGER)

BACKUP_POLICY = {
    "plan": Field(choices=("daily", "weekly")),
    "weekday": Field(choices=("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")),
    "hour": Field(kind=Kind.INTEGER),
}


class Droplet(Resource):
    """A virtual machine."""

    token = "digitalocean:index/droplet:Droplet"
    wrapped = Wrapped.SDK
    meta = bookkeeping(schema_version=1, create=CREATE_TIMEOUT, update=UPDATE_TIMEOUT, delete=DELETE_TIMEOUT)
    autoname = True
    inputs: ClassVar[Fields] = {
        "name": Field(required=True, rule=_not_empty),
        "image": Field(required=True, replace=True, rule=_not_empty),
        "size": Field(required=True, canonical=_lower, rule=_not_empty),
        "region": Field(computed=True, replace=True, canonical=_lower, rule=_not_empty),
        "userData": Field(replace=True, canonical=_digest, rule=_not_empty),
        "sshKeys": Field(kind=Kind.SET, items=Field(rule=_not_empty), replace=True),
        "vpcUuid": Field(computed=True, replace=True, rule=_not_empty),
        "monitoring": Field(kind=Kind.BOOLEAN, default=False, replace=True),
        "dropletAgent": Field(kind=Kind.BOOLEAN, replace=True),
        "publicNetworking": Field(kind=Kind.BOOLEAN, computed=True, replace=True),
        "privateNetworking": Field(kind=Kind.BOOLEAN, computed=True),
        "ipv6": FLAG,
        "ipv6Address": Field(computed=True),
        "backups": FLAG,
        "backupPolicy": Field(kind=Kind.OBJECT, fields=BACKUP_POLICY),
        "tags": TAGS,
        "volumeIds": Field(kind=Kind.SET, items=Field(), computed=True),
        "gracefulShutdown": FLAG,
        "gpuPartitionMode": Field(replace=True),
        "resizeDisk": Field(kind=Kind.BOOLEAN, default=True),
    }
    outputs: ClassVar[Fields] = {
        "createdAt": Field(),
        "disk": INTEGER,
        "dropletUrn": Field(),
        "ipv4Address": Field(),
        "ipv4AddressPrivate": Field(),
        "locked": Field(kind=Kind.BOOLEAN),
        "memory": INTEGER,
        "priceHourly": Field(kind=Kind.NUMBER),
        "priceMonthly": Field(kind=Kind.NUMBER),
        "status": Field(),
        "vcpus": INTEGER,
    }

    def __init__(self, client: Client) -> None:
        self._client = client

    def validate(self, inputs: Properties) -> list[Failure]:
        """Refuse what this stand-in does not support, instead of ignoring it."""
        absent = {
            "ipv6": inputs.get("ipv6") is True,
            "ipv6Address": bool(inputs.get("ipv6Address")),
            "backups": inputs.get("backups") is True,
            "backupPolicy": bool(inputs.get("backupPolicy")),
            "volumeIds": bool(inputs.get("volumeIds")),
            "gpuPartitionMode": bool(inputs.get("gpuPartitionMode")),
        }
        return [
            Failure(name, f"{name}: not in this stand-in for the digitalocean plugin; use the official one")
            for name, asked in absent.items()
            if asked
        ]

    def create(self, inputs: Properties, call: Call) -> State:
        """POST it, and wait until it is active."""
        droplet = self._client.post("/v2/droplets", _body(inputs), call)["droplet"]
        id_ = str(droplet["id"])
        try:
            droplet = self._wait(id_, "status", "active", pending=("new",), timeout=CREATE_TIMEOUT, call=call)
        except PluginError as error:
            outputs = _outputs(droplet, _asked(inputs))
            raise PartialError(
                f"Error waiting for droplet ({id_}) to become ready: {error}", id_=id_, outputs=outputs
            ) from None
        return State(id_, _outputs(droplet, _asked(inputs)), inputs)

    def read(self, id_: str, state: Properties, inputs: Properties, call: Call) -> State | None:
        """GET it."""
        found = self._client.find(f"/v2/droplets/{id_}", call)
        if found is None:
            return None
        droplet = found["droplet"]
        asked: Properties = {name: state[name] for name in NOT_READ if name in state}
        if not state:  # an import
            image = droplet["image"]
            asked = {"image": image.get("slug") or str(image["id"]), "resizeDisk": True, "gracefulShutdown": False}
        outputs = _outputs(droplet, asked)
        return State(id_, outputs, refreshed(self.inputs, inputs, outputs))

    def update(self, id_: str, state: Properties, inputs: Properties, changed: Differences, call: Call) -> Properties:
        """Resize, rename and tag it, one action after the other; then read it."""
        if not changed:
            self._finish_creation(id_, call)
        if "size" in changed:
            self._resize(id_, inputs, call)
        if "name" in changed:
            self._act(id_, {"type": "rename", "name": inputs["name"]}, "renaming", call)
            self._wait(id_, "name", inputs["name"], pending=("", str(state["name"])), timeout=UPDATE_TIMEOUT, call=call)
        if any(path.startswith("tags") for path in changed):
            self._retag(id_, state.get("tags") or [], inputs.get("tags") or [], call)
        found = self.read(id_, _asked(inputs), inputs, call)
        if found is None:
            raise PluginError(f"droplet {id_} is gone")
        return found.outputs

    def delete(self, id_: str, state: Properties, call: Call) -> None:
        """Wait until no other action runs, shut it down if requested, DELETE it, and wait until it is gone.

        A droplet that is gone before that is an error, as in the official plugin: the state has to be refreshed.
        """
        last = deadline(call, DELETE_TIMEOUT)
        self._wait_within(last, f"Error waiting for droplet to be unlocked for destroy ({id_})", id_, "false", call)
        if state.get("gracefulShutdown"):
            self._act(id_, {"type": "shutdown"}, "shutting down the", call)
            self._wait_within(last, f"Error waiting for droplet ({id_}) to become off", id_, "off", call)
        try:
            self._client.delete(f"/v2/droplets/{id_}", call)
        except ApiError as error:
            if error.status == 404:
                return
            raise
        self._wait_within(last, "Error deleting droplet", id_, NOT_FOUND, call)

    def _finish_creation(self, id_: str, call: Call) -> None:
        """Finish the creation of a droplet if its run failed or was interrupted: the engine asks for nothing else."""
        status = self._client.get(f"/v2/droplets/{id_}", call)["droplet"]["status"]
        if status == "off":  # it did not boot
            self._act(id_, {"type": "power_on"}, "powering on", call)
        if status != "active":
            self._wait(id_, "status", "active", pending=("new", "off"), timeout=CREATE_TIMEOUT, call=call)

    def _resize(self, id_: str, inputs: Properties, call: Call) -> None:
        try:
            self._act(id_, {"type": "power_off"}, "powering off", call)
        except ApiError as error:
            if "already powered off" not in str(error):
                raise
        self._wait(id_, "status", "off", pending=("active",), timeout=UPDATE_TIMEOUT, call=call)
        try:
            resize = {"type": "resize", "disk": inputs.get("resizeDisk", True), "size": inputs["size"]}
            self._finish(self._act(id_, resize, "resizing", call), call)
        finally:  # the droplet must run, even if the resize failed
            self._act(id_, {"type": "power_on"}, "powering on", call)
            self._wait(id_, "status", "active", pending=("off",), timeout=UPDATE_TIMEOUT, call=call)

    def _retag(self, id_: str, old: list[str], new: list[str], call: Call) -> None:
        resources = {"resources": [{"resource_id": id_, "resource_type": "droplet"}]}
        for tag in sorted(set(old) - set(new)):
            self._client.delete(f"/v2/tags/{segment(tag)}/resources", call, resources)
        for tag in sorted(set(new) - set(old)):
            name = self._client.post("/v2/tags", {"name": tag}, call)["tag"]["name"]
            self._client.post(f"/v2/tags/{segment(name)}/resources", resources, call)

    def _act(self, id_: str, action: dict[str, Any], doing: str, call: Call) -> int:
        try:
            answer = self._client.post(f"/v2/droplets/{id_}/actions", action, call)
        except ApiError as error:
            raise ApiError(f"Error {doing} droplet ({id_}): {error}", error.status) from None
        return int(answer["action"]["id"])

    def _finish(self, action: int, call: Call) -> None:
        self._client.wait(
            lambda: str(self._client.get(f"/v2/actions/{action}", call)["action"]["status"]),
            target="completed",
            pending=("in-progress",),
            deadline=deadline(call, ACTION_TIMEOUT),
            what=f"action {action}",
            call=call,
        )

    def _wait(
        self, id_: str, attribute: str, target: str, *, pending: Collection[str], timeout: float, call: Call
    ) -> dict[str, Any]:
        droplet: dict[str, Any] = {}

        def look() -> str | None:
            droplet.update(self._client.get(f"/v2/droplets/{id_}", call)["droplet"])
            value = droplet[attribute]
            if droplet["locked"]:
                return None  # an action runs: the current value will change
            return str(value).lower() if isinstance(value, bool) else str(value)

        self._client.wait(
            look,
            target=target,
            pending=pending,
            deadline=deadline(call, timeout),
            what=f"droplet {id_}",
            call=call,
        )
        return droplet

    def _wait_within(self, last: float, complaint: str, id_: str, target: str, call: Call) -> None:
        """Wait for one of a deletion's steps; `last` is the deadline of all of them together."""
        pending = {"false": ("true",), "off": ("active",), NOT_FOUND: ("new", "active", "off", "archive")}[target]

        def look() -> str | None:
            found = self._client.find(f"/v2/droplets/{id_}", call)
            if found is None:
                return NOT_FOUND
            droplet = found["droplet"]
            if droplet["locked"]:
                return None  # as in _wait
            return "false" if target == "false" else str(droplet["status"])

        try:
            self._client.wait(look, target=target, pending=pending, deadline=last, what=f"droplet {id_}", call=call)
        except CancelledError:
            raise
        except OverdueError:
            raise PluginError(f"{complaint}: context deadline exceeded") from None
        except UnexpectedError as error:
            reason = f"unexpected state '{error.seen}', wanted target '{target}'. last error: %!s(<nil>)"
            raise PluginError(f"{complaint}: {reason}") from None
        except PluginError as error:
            raise PluginError(f"{complaint}: {error}") from None


def _body(inputs: Properties) -> dict[str, Any]:
    image, keys = inputs["image"], inputs.get("sshKeys") or []
    body: dict[str, Any] = {
        "name": inputs["name"],
        "region": inputs.get("region") or "",
        "size": inputs["size"],
        "image": int(image) if image.isdecimal() else image,
        "ssh_keys": [int(key) if key.isdecimal() else key for key in keys],
        "backups": False,
        "ipv6": False,
        "private_networking": bool(inputs.get("privateNetworking")),
        "monitoring": bool(inputs.get("monitoring")),
        "tags": inputs.get("tags") or [],
    }
    for name, key in (("userData", "user_data"), ("vpcUuid", "vpc_uuid")):
        if inputs.get(name):
            body[key] = inputs[name]
    for name, key in (("dropletAgent", "with_droplet_agent"), ("publicNetworking", "public_networking")):
        if inputs.get(name) is not None:
            body[key] = inputs[name]
    return body


def _asked(inputs: Properties) -> Properties:
    """Return the outputs that come from the inputs."""
    asked = {name: inputs[name] for name in NOT_READ if inputs.get(name) is not None}
    if "userData" in asked:
        asked["userData"] = _digest(asked["userData"])
    return asked


def _outputs(droplet: dict[str, Any], asked: Properties) -> Properties:
    features = droplet.get("features") or []
    size = droplet.get("size") or {}
    public = _address(droplet, "v4", "public")
    return {
        **asked,
        "name": droplet["name"],
        "dropletUrn": f"do:droplet:{droplet['id']}",
        "region": droplet["region"]["slug"],
        "size": droplet["size_slug"],
        "priceHourly": size.get("price_hourly", 0),
        "priceMonthly": size.get("price_monthly", 0),
        "disk": droplet["disk"],
        "vcpus": droplet["vcpus"],
        "memory": droplet["memory"],
        "status": droplet["status"],
        "locked": droplet["locked"],
        "createdAt": droplet["created_at"],
        "vpcUuid": droplet.get("vpc_uuid") or "",
        "ipv4Address": public,
        "ipv4AddressPrivate": _address(droplet, "v4", "private"),
        "ipv6Address": _address(droplet, "v6", "public").lower(),
        "publicNetworking": bool(public),
        "privateNetworking": "private_networking" in features,
        "backups": "backups" in features,
        "ipv6": "ipv6" in features,
        "monitoring": "monitoring" in features,
        "volumeIds": droplet.get("volume_ids") or [],
        "tags": droplet.get("tags") or [],
    }


def _address(droplet: dict[str, Any], family: str, kind: str) -> str:
    for address in droplet["networks"].get(family) or []:
        if address["type"] == kind:
            return str(address["ip_address"])
    return ""
