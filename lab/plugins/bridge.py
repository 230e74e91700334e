"""State that the bridge of Terraform providers writes besides a resource's own properties.

Source: pulumi-terraform-bridge. A plugin uses one of its two halves, by the library of its provider.
"""

from __future__ import annotations

import json
from enum import Enum, auto
from typing import Final

from lab.plugins.schema import Field, Fields, Kind
from lab.plugins.values import Properties

TIMEOUTS: Final = "e2bfb730-ecaa-11e6-8f88-34363bc7c4c0"
"""Key under which Terraform's plugin SDK keeps the limits that a resource was made with."""


class Wrapped(Enum):
    """Kind of provider that an official plugin wraps."""

    NOTHING = auto()
    """It is written for Pulumi: its states hold inputs and outputs, and nothing more."""
    SDK = auto()
    """A provider of Terraform's plugin SDK: each object of the inputs lists its filled-in defaults in `__defaults`."""
    FRAMEWORK = auto()
    """A provider of Terraform's plugin framework: inputs are stored as they were written."""


def bookkeeping(*, schema_version: int = 0, **seconds: float) -> str:
    """Write `__meta`: the schema's version, and the limits for create, update and delete that a resource type has."""
    limits = {TIMEOUTS: {step: int(limit * 1e9) for step, limit in seconds.items()}} if seconds else {}
    version = {"schema_version": str(schema_version)} if schema_version else {}
    return json.dumps(limits | version, separators=(",", ":"), sort_keys=True)


def complete(fields: Fields, properties: Properties) -> Properties:
    """Return every property: an omitted one has the value that omitting it means, or null."""
    return properties | {name: _complete(spec, properties.get(name)) for name, spec in fields.items()}


def _complete(spec: Field, value: object) -> object:
    match spec.kind, value:
        case _, None:
            return spec.implied
        case Kind.OBJECT, dict():
            return complete(spec.fields, value)
        case ((Kind.LIST | Kind.SET), list()) if spec.items:
            return [_complete(spec.items, item) for item in value]
    return value
