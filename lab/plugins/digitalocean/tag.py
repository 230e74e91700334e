"""digitalocean.Tag, and the rule for tags' names."""

from __future__ import annotations

import re
from typing import ClassVar

from lab.plugins.bridge import Wrapped
from lab.plugins.digitalocean.client import Client, segment
from lab.plugins.refresh import refreshed
from lab.plugins.resource import Call, Resource, State
from lab.plugins.schema import Field, Fields, Kind
from lab.plugins.values import Properties

COUNT = Field(kind=Kind.INTEGER)


def tag_rule(name: object) -> str | None:
    """Find what is wrong with a tag's name."""
    if re.fullmatch(r"[a-zA-Z0-9:_-]{1,255}", str(name)):
        return None
    return "a tag has letters, numbers, colons, dashes, and underscores, at most 255 of them"


TAGS = Field(kind=Kind.SET, items=Field(rule=tag_rule, canonical=lambda tag: str(tag).lower()))
"""The tags of something that has tags; upper and lower case are equal."""


class Tag(Resource):
    """A tag; its id is its name."""

    token = "digitalocean:index/tag:Tag"
    wrapped = Wrapped.SDK
    autoname = True
    inputs: ClassVar[Fields] = {"name": Field(required=True, replace=True, rule=tag_rule)}
    outputs: ClassVar[Fields] = {
        "totalResourceCount": COUNT,
        "dropletsCount": COUNT,
        "imagesCount": COUNT,
        "volumesCount": COUNT,
        "volumeSnapshotsCount": COUNT,
        "databasesCount": COUNT,
    }

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(self, inputs: Properties, call: Call) -> State:
        """POST it, then read it."""
        name = self._client.post("/v2/tags", {"name": inputs["name"]}, call)["tag"]["name"]
        return self.read(name, {}, inputs, call) or State(name, dict(inputs), inputs)

    def read(self, id_: str, state: Properties, inputs: Properties, call: Call) -> State | None:
        """GET it."""
        found = self._client.find(f"/v2/tags/{segment(id_)}", call)
        if found is None:
            return None
        tag = found["tag"]
        counts = tag.get("resources") or {}
        outputs = {"name": tag["name"], "totalResourceCount": counts.get("count", 0)}
        for kind, output in (
            ("droplets", "dropletsCount"),
            ("images", "imagesCount"),
            ("volumes", "volumesCount"),
            ("volume_snapshots", "volumeSnapshotsCount"),
            ("databases", "databasesCount"),
        ):
            outputs[output] = (counts.get(kind) or {}).get("count", 0)
        return State(tag["name"], outputs, refreshed(self.inputs, inputs, outputs))

    def delete(self, id_: str, state: Properties, call: Call) -> None:
        """DELETE it."""
        self._client.remove("tag", f"/v2/tags/{segment(id_)}", call)
