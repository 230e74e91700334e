"""Differences between a resource's state and its new inputs, and whether they replace it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from itertools import zip_longest

from lab.plugins.schema import Field, Fields, Kind
from lab.plugins.values import Properties, Unknown, known


class Change(Enum):
    """Change of one property."""

    ADD = auto()
    DELETE = auto()
    UPDATE = auto()


@dataclass(frozen=True, slots=True)
class Difference:
    """One changed property, by its path (`inboundRules[0].portRange`)."""

    change: Change
    replace: bool


Differences = dict[str, Difference]


def compare(
    fields: Fields, *, state: Properties, old_inputs: Properties, news: Properties, ignore: Iterable[str] = ()
) -> Differences:
    """Compare new inputs to the state as the cloud last gave it (or to the old inputs, if it has no value)."""
    differences: Differences = {}
    ignored = tuple(ignore)
    for name, spec in fields.items():
        old, new = state.get(name, old_inputs.get(name)), news.get(name)
        if new is None:
            new = spec.implied
        if new is None and (spec.computed or spec.default is not None):
            continue
        _compare(spec, old, new, _Place(name, spec.replace, differences))
    return {path: found for path, found in differences.items() if not _within(path, ignored)}


def _within(path: str, parents: tuple[str, ...]) -> bool:
    return any(path == parent or path.startswith((f"{parent}.", f"{parent}[")) for parent in parents)


@dataclass(frozen=True, slots=True)
class _Place:
    """Path of a comparison in a resource, and its findings."""

    path: str
    replace: bool
    found: Differences

    def put(self, change: Change) -> None:
        self.found[self.path] = Difference(change, self.replace)

    def item(self, index: int) -> _Place:
        return _Place(f"{self.path}[{index}]", self.replace, self.found)

    def field(self, name: str, spec: Field) -> _Place:
        return _Place(f"{self.path}.{name}", self.replace or spec.replace, self.found)


def _compare(spec: Field, old: object, new: object, place: _Place) -> None:
    if isinstance(new, Unknown):
        place.put(Change.ADD if _empty(old) else Change.UPDATE)
        return
    before, after = canonical(spec, old), canonical(spec, new)
    if before == after or (_empty(before) and _empty(after)):
        return
    items = spec.items or Field(kind=Kind.ANY)
    match spec.kind, old, new:
        case _ if _empty(before) or _empty(after):
            place.put(Change.ADD if _empty(before) else Change.DELETE)
        case Kind.OBJECT, dict(), dict():
            for name, inner in spec.fields.items():
                value = new.get(name)
                if value is not None or not inner.computed:
                    _compare(inner, old.get(name), value, place.field(name, inner))
        case Kind.LIST, list(), list():
            for index, pair in enumerate(zip_longest(old, new)):
                _compare(items, *pair, place.item(index))
        case Kind.SET, list(), list():
            _compare_sets(items, old, new, place)
        case _:
            place.put(Change.UPDATE)


def _compare_sets(items: Field, old: list[object], new: list[object], place: _Place) -> None:
    """Report new members by their index among the new inputs, and removed ones by their index in the state."""
    before, after = ([_key(canonical(items, item)) for item in side] for side in (old, new))
    gone = {index for index, key in enumerate(before) if key not in after}
    come = {index for index, key in enumerate(after) if key not in before}
    for index in sorted(gone | come):
        change = Change.UPDATE if index in gone & come else Change.ADD if index in come else Change.DELETE
        place.item(index).put(change)


def canonical(spec: Field, value: object) -> object:
    """Convert a value to a form in which two values are equal if they mean the same to the cloud."""
    match spec.kind, value:
        case Kind.OBJECT, dict():
            inner = {name: canonical(each, value.get(name)) for name, each in spec.fields.items()}
            return {name: each for name, each in inner.items() if not _empty(each)}
        case Kind.MAP, dict():
            return {key: canonical(spec.items or Field(kind=Kind.ANY), item) for key, item in value.items()}
        case Kind.LIST, list():
            return [canonical(spec.items or Field(kind=Kind.ANY), item) for item in value]
        case Kind.SET, list():
            return sorted({_key(canonical(spec.items or Field(kind=Kind.ANY), item)) for item in value})
    return spec.canonical(value) if spec.canonical and value is not None and known(value) else value


def _key(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


def _empty(value: object) -> bool:
    """True if the value is absent, empty, or the empty string: plugins treat them alike."""
    return value is None or value in ("", [], {})
