"""Properties of a resource, and the check of inputs against them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from lab.plugins.values import UNKNOWN, Properties, Unknown


class Kind(Enum):
    """The shape of a property's value."""

    STRING = auto()
    NUMBER = auto()
    INTEGER = auto()
    BOOLEAN = auto()
    LIST = auto()
    SET = auto()
    """A list whose order means nothing."""
    MAP = auto()
    OBJECT = auto()
    ANY = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One property of a resource, or of an object within one."""

    kind: Kind = Kind.STRING
    items: Field | None = None
    """Type of the items of a list, set or map."""
    fields: Mapping[str, Field] = field(default_factory=dict)
    """Fields of an object."""
    required: bool = False
    replace: bool = False
    """A change of it replaces the resource."""
    secret: bool = False
    computed: bool = False
    """The cloud chooses the value if the program sets none: omitting it is not a change."""
    default: object = None
    """Value for the inputs if the program omits it."""
    implied: object = None
    """Value if it is omitted; it is in the outputs, not in the inputs."""
    choices: tuple[str, ...] = ()
    rule: Callable[[object], str | None] | None = None
    """Problem with a value, or None."""
    canonical: Callable[[object], object] | None = None
    """Brings a value to the form that the state holds, for comparing."""


Fields = Mapping[str, Field]


@dataclass(frozen=True, slots=True)
class Failure:
    """Problem with one input."""

    property: str
    reason: str


def check(fields: Fields, news: Properties, *, coerce: bool, mark_defaults: bool) -> tuple[Properties, list[Failure]]:
    """Validate inputs and fill in defaults.

    `coerce` accepts "22" as 22, like plugins that wrap a Terraform provider. `mark_defaults` lists the filled-in names
    under `__defaults`, in every object, as in the state of some of those plugins.
    """
    checker = _Checker(coerce=coerce, mark_defaults=mark_defaults)
    return checker.record(fields, news, ""), checker.failures


@dataclass(slots=True)
class _Checker:
    coerce: bool
    mark_defaults: bool
    failures: list[Failure] = field(default_factory=list)

    def fail(self, path: str, reason: str) -> None:
        self.failures.append(Failure(re.split(r"[.[]", path, maxsplit=1)[0], f"{path}: {reason}"))

    def record(self, fields: Fields, news: Properties, path: str) -> Properties:
        checked: Properties = {}
        defaults: list[str] = []
        for name in news:
            if name not in fields and not name.startswith("__"):
                self.fail(f"{path}{name}", f"unknown property; known here are {', '.join(sorted(fields))}")
        for name, spec in fields.items():
            value = news.get(name)
            if value is not None:
                checked[name] = self.value(spec, value, f"{path}{name}")
            elif spec.default is not None:
                checked[name] = spec.default
                defaults.append(name)
            elif spec.required:
                self.fail(f"{path}{name}", "required, but missing")
        if self.mark_defaults:
            checked["__defaults"] = sorted(defaults)
        return checked

    def value(self, spec: Field, value: object, path: str) -> object:
        if isinstance(value, Unknown):
            return UNKNOWN
        match spec.kind, value:
            case Kind.ANY, _:
                return value
            case ((Kind.LIST | Kind.SET), list()):
                items = spec.items or Field(kind=Kind.ANY)
                return [self.value(items, item, f"{path}[{index}]") for index, item in enumerate(value)]
            case Kind.MAP, dict():
                items = spec.items or Field(kind=Kind.ANY)
                return {key: self.value(items, item, f"{path}.{key}") for key, item in value.items()}
            case Kind.OBJECT, dict():
                return self.record(spec.fields, value, f"{path}.")
        return self.scalar(spec, value, path)

    def scalar(self, spec: Field, value: object, path: str) -> object:
        for candidate in self.readings(spec.kind, value):
            if spec.choices and candidate not in spec.choices:
                self.fail(path, f"must be one of {', '.join(spec.choices)}")
            elif spec.rule and (reason := spec.rule(candidate)):
                self.fail(path, reason)
            return candidate
        self.fail(path, f"must be of type {spec.kind.name.lower()}, not {_type_name(value)}")
        return value

    def readings(self, kind: Kind, value: object) -> Iterator[object]:
        """Yield the value as that kind, if it is of that kind or can be converted."""
        match kind, value:
            case (Kind.STRING, str()) | (Kind.BOOLEAN, bool()):
                yield value
            case Kind.STRING, bool() if self.coerce:
                yield "true" if value else "false"
            case _, bool():
                return
            case (Kind.NUMBER, int() | float()) | (Kind.INTEGER, int()):
                yield value
            case Kind.STRING, int() | float() if self.coerce:
                yield str(value)
            case Kind.BOOLEAN, "true" | "false" if self.coerce:
                yield value == "true"
            case ((Kind.NUMBER | Kind.INTEGER), str()) if self.coerce:
                try:
                    yield int(value) if kind is Kind.INTEGER else float(value)
                except ValueError:
                    return


def _type_name(value: object) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "list"
        case dict():
            return "object"
    return "null"
