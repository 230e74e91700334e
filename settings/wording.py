"""Pydantic's errors in Triplane's words: the setting's name in the stack's file, and what to write instead."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from inspect import isclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from settings import flags
from settings.mistakes import Mistake, one_of, write_one_of

_KEY = "[key]"
"""Last part of pydantic's path to a mistake in a mapping's key."""

_WRONG = {
    "missing": "is missing",
    "int": "is not an integer",
    "bool": "is neither true nor false",
    "string": "is not a string",
    "tuple": "is not a list",
    "dict": "is not a mapping of names to values",
    "mapping": "is not a mapping of names to values",
    "model": "is not a mapping of names to values",
}


def explain(error: ValidationError, root: type[BaseModel], *, hidden: Collection[str]) -> Iterator[Mistake]:
    """Turn pydantic's errors about `root` into ours.

    A value is left out where it may be a secret: in the settings that `hidden` names, and where it looks like one.
    """
    meant = {_meant(details, root) for details in error.errors()}
    for details in error.errors():
        kind, path = details["type"], tuple(step for step in details["loc"] if step != _KEY)
        if kind == "default_factory_not_called" or (kind == "missing" and path in meant):
            continue  # the mistake is in another setting, or in this one's name, and reported there
        silent = kind in {"missing", "extra_forbidden"} or _KEY in details["loc"] or str(path[0]) in hidden
        value = None if silent or flags.looks_secret(str(details["input"])) else details["input"]
        yield Mistake(setting=f"triplane:{dotted(path)}", problem=_problem(details, root, path), value=value)


def _meant(details: ErrorDetails, root: type[BaseModel]) -> tuple[int | str, ...] | None:
    """Guess which setting an unknown name was meant to be."""
    *path, last = details["loc"] or ("",)
    if details["type"] != "extra_forbidden":
        return None
    close = get_close_matches(str(last), _names(_section(root, path)), n=1, cutoff=0.7)
    return (*path, close[0]) if close else None


def dotted(path: Sequence[int | str]) -> str:
    """Write a path as `pulumi config set --path` accepts it: `pools[0].size`."""
    return "".join(map(_step, path)).removeprefix(".")


def _step(step: int | str) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if step.isprintable() and "." not in step else f"[{json.dumps(step)}]"


def _problem(details: ErrorDetails, root: type[BaseModel], path: Sequence[int | str]) -> str:
    kind, given, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    instead = _example(root, path)
    match kind:
        case "extra_forbidden":
            meant = _meant(details, root)
            known = one_of(_names(_section(root, path[:-1])))
            wrong, instead = "is not a setting", f"Did you mean {meant[-1]}?" if meant else f"Write {known}."
        case "enum" | "literal_error":
            wrong, instead = "is unknown", write_one_of(str(given), re.findall("'([^']*)'", context["expected"]))
        case "string_type" if isinstance(given, bool):
            wrong, instead = "is true or false to YAML", f'Write it in quotes: "{str(given).lower()}".'
        case "string_type" if isinstance(given, int | float):
            wrong, instead = "is a number to YAML", f'Write it in quotes: "{given}".'
        case "greater_than_equal":
            wrong = f"is less than {context['ge']}"
        case "less_than_equal":
            wrong = f"is more than {context['le']}"
        case _:
            wrong = _WRONG.get(kind) or _WRONG.get(kind.split("_")[0], "is wrong")
    return f"{wrong}. {instead}".rstrip()


def _example(root: type[BaseModel], path: Sequence[int | str]) -> str:
    """Return the example of the deepest setting on the path."""
    found: FieldInfo | None = None
    section: type[BaseModel] | None = root
    for step in path:
        if isinstance(step, str) and section is not None:
            field = _field(section, step)
            found, section = field or found, field and section_in(field.annotation)
    if found is None or not found.examples:
        return ""
    example: Any = found.examples[0]
    if path and isinstance(path[-1], int) and isinstance(example, list):
        example = example[0]
    return f"Write e.g. {example if isinstance(example, str) else json.dumps(example, ensure_ascii=False)}."


def _section(root: type[BaseModel], path: Sequence[int | str]) -> type[BaseModel]:
    """Find the section that a path leads to."""
    section = root
    for step in path:
        field = _field(section, step) if isinstance(step, str) else None
        section = (field and section_in(field.annotation)) or section
    return section


def _names(section: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in section.model_fields.items()]


def _field(section: type[BaseModel], alias: str) -> FieldInfo | None:
    return next((field for field in section.model_fields.values() if field.alias == alias), None)


def section_in(annotation: object) -> type[BaseModel] | None:
    """Find the section inside an annotation such as `tuple[Pool, ...]` or `Mirror | None`."""
    if isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := section_in(argument))), None)
