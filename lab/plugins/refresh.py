"""Inputs of a resource after a refresh or an import."""

from __future__ import annotations

from lab.plugins.diff import canonical
from lab.plugins.schema import Fields
from lab.plugins.values import Properties


def refreshed(fields: Fields, inputs: Properties, outputs: Properties) -> Properties:
    """Bring inputs up to what the cloud says: what it has otherwise changes, the rest stays as it was written.

    An import has no inputs yet: they are all that the cloud has.
    """
    if not inputs:
        return {name: outputs[name] for name in fields if outputs.get(name) not in (None, "", [], {})}
    result = dict(inputs)
    for name, spec in fields.items():
        if name in inputs and name in outputs and canonical(spec, inputs[name]) != canonical(spec, outputs[name]):
            result[name] = outputs[name]
    return result
