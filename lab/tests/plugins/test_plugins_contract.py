"""The stand-ins' tables of properties, against a distillate of the official plugins' schemas."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.plugins import PLUGINS
from lab.plugins.schema import Field, Kind

CONTRACT: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("contract.yaml").read_text())

OPEN_OBJECTS = {"data", "settings"}
"""Whose members the distillate leaves open."""

AUTONAMED = {"digitalocean"}


def notation(field: Field) -> str:
    """Write a field's type as the distillate does."""
    match field.kind:
        case Kind.LIST | Kind.SET:
            return f"list({notation(field.items) if field.items else 'any'})"
        case Kind.MAP:
            return f"map({notation(field.items) if field.items else 'any'})"
        case Kind.OBJECT:
            members = (
                f"{name}: {notation(inner)}{' required' if inner.required else ''}{' secret' if inner.secret else ''}"
                for name, inner in sorted(field.fields.items())
            )
            return f"object({', '.join(members)})"
    return field.kind.name.lower()


def line(field: Field) -> str:
    flags = (("required", field.required), ("replace", field.replace), ("secret", field.secret))
    return " ".join([notation(field), *(word for word, is_set in flags if is_set)])


@pytest.mark.parametrize("name", PLUGINS)
def test_a_stand_in_has_the_version_whose_sdk_is_installed(name: str) -> None:
    assert import_module(f"lab.plugins.{name}").plugin().version == version(f"pulumi-{name}")


@pytest.mark.parametrize("name", PLUGINS)
def test_a_stand_in_has_exactly_the_contracts_resource_types(name: str) -> None:
    assert set(import_module(f"lab.plugins.{name}").plugin().resources) == set(CONTRACT[name])


@pytest.mark.parametrize("name", PLUGINS)
def test_every_resource_of_a_stand_ins_files_is_in_its_table(name: str) -> None:
    module = import_module(f"lab.plugins.{name}")
    written = "".join(path.read_text() for path in Path(str(module.__file__)).parent.glob("*.py"))
    tokens = set(re.findall(r'^    token = "(.+)"$', written, re.MULTILINE))
    assert tokens == {*module.plugin().resources, *module.plugin().functions}


@pytest.mark.parametrize(("plugin", "token"), [(name, token) for name in PLUGINS for token in CONTRACT[name]])
def test_inputs_have_the_official_types_and_replace_triggers(plugin: str, token: str) -> None:
    resource = import_module(f"lab.plugins.{plugin}").plugin().resource(token)
    ours = {name: line(field) for name, field in resource.inputs.items() if name not in OPEN_OBJECTS}
    if plugin in AUTONAMED:
        ours["name"] = ours["name"].replace(" required", "")
    assert ours == {name: text for name, text in CONTRACT[plugin][token]["inputs"].items() if name not in OPEN_OBJECTS}


@pytest.mark.parametrize(("plugin", "token"), [(name, token) for name in PLUGINS for token in CONTRACT[name]])
def test_outputs_have_the_official_names_and_secrets(plugin: str, token: str) -> None:
    resource = import_module(f"lab.plugins.{plugin}").plugin().resource(token)
    official = CONTRACT[plugin][token]["outputs"]
    assert set(resource.outputs) == set(official)
    assert {name for name, field in resource.outputs.items() if field.secret} == {
        name for name, text in official.items() if text.endswith(" secret")
    }
