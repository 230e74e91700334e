"""Inputs of a resource after a refresh or an import."""

from __future__ import annotations

from lab.plugins.diff import canonical
from lab.plugins.schema import Fields
from lab.plugins.values import Properties


def refreshed(fields: Fields, inputs: Properties, outputs: Properties) -> Properties:
    """Update inputs from the cloud: values that differ there change, the others stay as they were written.

    An import has no inputs yet: it gets all values from the cloud.
    """
    if not inputs:
        return {name: outputs[name] for name in fields if outputs.get(name) not in (None, "", [], {})}
    result = dict(inputs)
    for name, spec in fields.items():
        if name in inputs and name in outputs and canonical(spec, inputs[name]) != canonical(spec, outputs[name]):
            result[name] = outputs[name]
    return result
