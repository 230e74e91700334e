"""The documents about settings say what the code does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter

from model.digitalocean import ANCHORS, IMAGES, REGIONS, SIZES, VPC_RESERVED, Size
from model.roles import Role
from settings.accounts import CLOUDFLARE, DIGITALOCEAN, Provider
from settings.changes import EFFECTS
from settings.load import parse
from settings.schema import Settings
from settings.wording import section_in

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "settings.md").read_text()
AS_BELOW, REQUIRED, FROM_SSH = "*as below*", "*required*", "*as `sshAllowed`*"
WRITTEN = TypeAdapter(object)
"""Dumps what somebody wrote, without the defaults inside it."""


def table(first_heading: str) -> list[list[str]]:
    """The rows of the table whose first column is called this."""
    lines = iter(TEXT.splitlines())
    rows: list[list[str]] = []
    for line in lines:
        if line.startswith(f"| {first_heading} |"):
            next(lines)
            for row in lines:
                if not row.startswith("|"):
                    return rows
                rows.append([cell.strip() for cell in re.split(r" ?\| ", row.strip("|"))])
    return rows


def settings_in(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every setting's name and default, as the table should have them."""
    for field in section.model_fields.values():
        name = f"{prefix}{field.alias}"
        inner = section_in(field.annotation)
        if field.default_factory_takes_validated_data:
            yield name, FROM_SSH
        elif field.is_required():
            yield name, REQUIRED
        elif isinstance(field.default, BaseModel):
            yield name, AS_BELOW
        else:
            default = field.get_default(call_default_factory=True)
            yield name, WRITTEN.dump_python(default, mode="json", by_alias=True, exclude_unset=True)
        if inner:
            yield from settings_in(inner, f"{name}[]." if "tuple" in str(field.annotation) else f"{name}.")


def without_example(section: type[BaseModel]) -> Iterator[str]:
    for name, field in section.model_fields.items():
        if not field.examples:
            yield f"{section.__name__}.{name}"
        if inner := section_in(field.annotation):
            yield from without_example(inner)


def value_of(cell: str) -> object:
    return cell if cell.startswith("*") else yaml.safe_load(cell.strip("`"))


def test_the_table_lists_exactly_the_settings_in_code_order() -> None:
    documented = [(name.strip("`"), value_of(default)) for name, _, default, *_ in table("Setting")]
    assert documented == list(settings_in(Settings))


def test_the_table_says_what_a_change_of_each_setting_does() -> None:
    documented = {row[0].strip("`"): row[-1] for row in table("Setting")}
    assert {name: effect for name, effect in documented.items() if effect} == EFFECTS
    assert {name for name, effect in documented.items() if not effect} == {
        name for name in documented if any(other.startswith((f"{name}.", f"{name}[].")) for other in documented)
    }


def test_every_setting_has_an_example_for_its_errors() -> None:
    assert list(without_example(Settings)) == []


def test_every_setting_has_a_type_and_a_meaning() -> None:
    for name, kind, _, meaning, *_ in table("Setting"):
        assert kind, name
        assert meaning.endswith("."), name


def test_the_row_of_roles_names_all_of_them() -> None:
    [meaning] = [meaning for name, _, _, meaning, *_ in table("Setting") if name == "`pools[].roles`"]
    assert [role for role in Role if f"`{role}`" not in meaning] == []


def test_the_table_of_sizes_is_the_codes() -> None:
    documented = {
        slug.strip("`"): Size(int(vcpus), float(memory), int(disk), float(price))
        for slug, vcpus, memory, disk, price in table("Size")
    }
    assert documented == SIZES


def test_the_table_of_kept_ranges_is_the_codes() -> None:
    documented = {region.strip("`"): IPv4Network(network) for region, network in table("Region")}
    assert documented == ANCHORS
    for network in VPC_RESERVED:
        assert str(network) in TEXT


@pytest.mark.parametrize("provider", [DIGITALOCEAN, CLOUDFLARE], ids=lambda provider: provider.name)
def test_every_name_under_which_a_token_is_looked_for_is_told(provider: Provider) -> None:
    for name in (provider.token_key, *provider.token_variables, provider.endpoint_key):
        assert f"`{name}`" in TEXT


@pytest.mark.parametrize(("title", "known"), [("Regions", REGIONS), ("Images", IMAGES)])
def test_regions_and_images_are_the_codes(title: str, known: tuple[str, ...]) -> None:
    line = next(line for line in TEXT.splitlines() if line.startswith(f"{title}: "))
    assert tuple(re.findall(r"`([^`]+)`", line.split(". ")[0])) == known


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_stack_costs_what_is_said(stack: str) -> None:
    config = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    settings = parse({key.removeprefix("triplane:"): value for key, value in config.items()})
    price = sum(pool.count * SIZES[pool.size].usd_a_month for pool in settings.pools)
    assert f"{price} (`{stack}`)" in TEXT
    assert f"about {price} US dollars a month" in (ROOT / f"Pulumi.{stack}.yaml").read_text()


def test_the_smallest_stack_file_is_enough() -> None:
    example, *_ = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    config = yaml.safe_load(example)["config"]
    assert parse({key.removeprefix("triplane:"): value for key, value in config.items()}).cluster == "dev"
    assert len(example.splitlines()) <= 10
