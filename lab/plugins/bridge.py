"""State that the bridge of Terraform providers writes besides a resource's own properties.

Source: pulumi-terraform-bridge. Which of its two halves a plugin uses follows from what its provider is written with.
"""

from __future__ import annotations

import json
from enum import Enum, auto
from typing import Final

from lab.plugins.schema import Field, Fields, Kind
from lab.plugins.values import Properties

TIMEOUTS: Final = "e2bfb730-ecaa-11e6-8f88-34363bc7c4c0"
"""Under which Terraform's plugin SDK keeps the limits that a resource was made with."""


class Wrapped(Enum):
    """Kind of provider that an official plugin wraps."""

    NOTHING = auto()
    """It is written for Pulumi: its states hold inputs and outputs, and nothing more."""
    SDK = auto()
    """A provider of Terraform's plugin SDK: each object of the inputs lists in `__defaults` what was filled in."""
    FRAMEWORK = auto()
    """A provider of Terraform's plugin framework: inputs stand as they were written."""


def bookkeeping(*, schema_version: int = 0, **seconds: float) -> str:
    """Write `__meta`: the schema's version, and the limits for create, update and delete that a resource type has."""
    limits = {TIMEOUTS: {step: int(limit * 1e9) for step, limit in seconds.items()}} if seconds else {}
    version = {"schema_version": str(schema_version)} if schema_version else {}
    return json.dumps(limits | version, separators=(",", ":"), sort_keys=True)


def complete(fields: Fields, properties: Properties) -> Properties:
    """Give every property: what was left out is there too, as what leaving it out means, or as null."""
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
