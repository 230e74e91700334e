"""Property values on the wire: protobuf structs with Pulumi's signatures, to and from plain Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value

Properties = dict[str, Any]
"""A resource's inputs or outputs: None, bool, int, float, str, lists and dicts of these, UNKNOWN, Secret."""

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN_STRING: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
UNKNOWNS: Final = frozenset(
    {
        UNKNOWN_STRING,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)


class Unknown:
    """A value that a preview cannot know yet."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that the engine encrypts in its state and hides in its output."""

    value: object

    def __repr__(self) -> str:
        return "Secret(…)"


def decode(struct: Struct) -> Properties:
    """Decode properties; secrets come unwrapped, because the engine remembers which ones they are."""
    return {key: _decode(value) for key, value in struct.fields.items()}


def _decode(value: Value) -> object:
    kind = value.WhichOneof("kind")
    result: object = None
    if kind == "string_value":
        result = UNKNOWN if value.string_value in UNKNOWNS else value.string_value
    elif kind == "number_value":
        number = value.number_value
        result = int(number) if number.is_integer() else number
    elif kind == "bool_value":
        result = value.bool_value
    elif kind == "struct_value":
        fields = value.struct_value.fields
        secret = SIGNATURE in fields and fields[SIGNATURE].string_value == SECRET
        result = _decode(fields["value"]) if secret else {key: _decode(item) for key, item in fields.items()}
    elif kind == "list_value":
        result = [_decode(item) for item in value.list_value.values]
    return result


def encode(properties: Mapping[str, object]) -> Struct:
    """Encode properties."""
    return Struct(fields={key: _encode(value) for key, value in properties.items()})


def _encode(value: object) -> Value:  # noqa: PLR0911 - one return per kind of value
    match value:
        case None:
            return Value(null_value=NULL_VALUE)
        case str():
            return Value(string_value=value)
        case bool():
            return Value(bool_value=value)
        case int() | float():
            return Value(number_value=value)
        case Unknown():
            return Value(string_value=UNKNOWN_STRING)
        case Secret():
            return Value(struct_value=encode({SIGNATURE: SECRET, "value": value.value}))
        case Mapping():
            return Value(struct_value=encode(value))
        case list() | tuple():
            return Value(list_value=ListValue(values=[_encode(item) for item in value]))
    raise TypeError(f"no property value: {type(value).__name__}")


def known(value: object) -> bool:
    """True if nothing in the value is unknown."""
    match value:
        case Unknown():
            return False
        case Secret():
            return known(value.value)
        case dict():
            return all(known(item) for item in value.values())
        case list():
            return all(known(item) for item in value)
    return True
