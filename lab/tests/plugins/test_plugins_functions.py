"""The functions of the digitalocean stand-in, against the lab's API."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pulumi_digitalocean import outputs

from lab.cloud.digitalocean.offerings import REGIONS, SIZES, Size
from lab.plugins.digitalocean import DigitalOceanPlugin
from lab.plugins.resource import Call, PluginError
from lab.tests.cloud.service import Service
from lab.tests.plugins.recording import Recorder
from lab.tests.plugins.stack import Stack
from lab.tests.plugins.steps import Steps

GET_SIZES = "digitalocean:index/getSizes:getSizes"
GET_DROPLETS = "digitalocean:index/getDroplets:getDroplets"
GET_REGIONS = "digitalocean:index/getRegions:getRegions"

PROGRAM = """\
import pulumi
import pulumi_digitalocean as digitalocean

found = digitalocean.get_sizes(
    filters=[{"key": "regions", "values": ["fra1"]}, {"key": "vcpus", "values": ["2"]}],
    sorts=[{"key": "price_monthly", "direction": "desc"}],
)
assert [size.price_monthly for size in found.sizes] == sorted((s.price_monthly for s in found.sizes), reverse=True)
assert all(size.vcpus == 2 and "fra1" in size.regions and size.available for size in found.sizes)
assert found.sizes[0].gpu_infos == []
regions = digitalocean.get_regions(filters=[{"key": "slug", "values": ["fra1"]}])
assert "s-2vcpu-4gb" in regions.regions[0].sizes
pulumi.export("dearest", found.sizes[0].slug)
"""


def ask(plugin: DigitalOceanPlugin, token: str, **arguments: Any) -> dict[str, Any]:
    answer, failures = plugin.ask(token, arguments, Call(cancelled=plugin.cancelled))
    assert not failures
    return answer


def slugs(answer: dict[str, Any]) -> list[str]:
    return [each["slug"] for each in answer["sizes" if "sizes" in answer else "regions"]]


def sdk_names(kind: type) -> set[str]:
    """Give a result's properties in the SDK, as they come from a plugin."""
    words = [name.split("_") for name in inspect.signature(kind).parameters]
    return {first + "".join(word.title() for word in rest) for first, *rest in words}


def test_all_sizes_and_regions_come_with_what_the_sdk_wants(ocean: DigitalOceanPlugin, calls: Recorder) -> None:
    sizes, regions = ask(ocean, GET_SIZES), ask(ocean, GET_REGIONS)
    assert set(slugs(sizes)) == set(SIZES)
    assert set(slugs(regions)) == set(REGIONS)
    assert all(set(size) == sdk_names(outputs.GetSizesSizeResult) for size in sizes["sizes"])
    assert all(set(region) == sdk_names(outputs.GetRegionsRegionResult) for region in regions["regions"])
    assert sizes["id"]
    assert calls.take() == ["GET /v2/sizes", "GET /v2/regions"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([{"key": "slug", "values": ["S-2VCPU-4GB", "nothing"]}], lambda size: size.slug == "s-2vcpu-4gb"),
        ([{"key": "slug", "values": ["^s-[12]v"], "matchBy": "re"}], lambda size: size.slug[:4] in {"s-1v", "s-2v"}),
        ([{"key": "slug", "values": ["2gb"], "matchBy": "substring"}], lambda size: "2gb" in size.slug),
        ([{"key": "price_monthly", "values": ["24"]}], lambda size: size.monthly == 24),
        (
            [{"key": "vcpus", "values": ["1"]}, {"key": "disk", "values": ["10", "25"]}],
            lambda size: size.vcpus == 1 and size.disk in {10, 25},
        ),
        ([{"key": "regions", "values": ["nowhere1"]}], lambda _size: False),
        ([{"key": "regions", "values": ["fra1", "nowhere1"], "all": True}], lambda _size: False),
    ],
)
def test_filters_leave_out_what_does_not_match(
    ocean: DigitalOceanPlugin, filters: list[dict[str, Any]], expected: Callable[[Size], bool]
) -> None:
    answer = ask(ocean, GET_SIZES, filters=filters)
    assert set(slugs(answer)) == {size.slug for size in SIZES.values() if expected(size)}


def test_sorts_apply_in_the_order_in_which_they_are_given(ocean: DigitalOceanPlugin) -> None:
    answer = ask(ocean, GET_SIZES, sorts=[{"key": "memory"}, {"key": "disk", "direction": "desc"}])
    order = [(size["memory"], -size["disk"]) for size in answer["sizes"]]
    assert order == sorted(order)
    assert answer["sorts"] == [{"key": "memory", "direction": "asc"}, {"key": "disk", "direction": "desc"}]


def test_a_list_of_several_pages_is_read_to_its_end(ocean: DigitalOceanPlugin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.plugins.digitalocean.listing.PER_PAGE", 4)
    assert set(slugs(ask(ocean, GET_SIZES))) == set(SIZES)


@pytest.mark.parametrize(
    ("token", "arguments", "complaint"),
    [
        (GET_SIZES, {"filter": []}, "filter: unknown property; known here are filters, sorts"),
        (GET_SIZES, {"filters": [{"key": "price", "values": ["1"]}]}, "filters[0].key: must be one of available, disk"),
        (GET_SIZES, {"filters": [{"key": "slug"}]}, "filters[0].values: required, but missing"),
        (GET_SIZES, {"filters": [{"key": "slug", "values": ["a"], "matchBy": "glob"}]}, "must be one of exact, re"),
        (GET_SIZES, {"sorts": [{"key": "regions"}]}, "sorts[0].key: must be one of"),
        (GET_REGIONS, {"sorts": [{"key": "slug", "direction": "up"}]}, "sorts[0].direction: must be one of asc, desc"),
    ],
)
def test_bad_arguments_are_named(
    ocean: DigitalOceanPlugin, token: str, arguments: dict[str, Any], complaint: str
) -> None:
    _, failures = ocean.ask(token, arguments, Call(cancelled=ocean.cancelled))
    assert any(complaint in failure.reason for failure in failures)


def test_a_value_that_is_none_of_its_columns_kind_is_an_error(ocean: DigitalOceanPlugin) -> None:
    with pytest.raises(PluginError, match="filters: unable to parse 'many' as integer"):
        ask(ocean, GET_SIZES, filters=[{"key": "vcpus", "values": ["many"]}])


def test_droplets_are_listed_with_what_the_sdk_wants(ocean: DigitalOceanPlugin) -> None:
    assert ask(ocean, GET_DROPLETS)["droplets"] == []
    size = {"image": "debian-12-x64", "size": "s-1vcpu-1gb", "region": "fra1"}
    for name in ("a.example.test", "b.example.test"):
        Steps(ocean, "digitalocean:index/droplet:Droplet").create(name=name, **size)
    droplets = ask(ocean, GET_DROPLETS, sorts=[{"key": "name"}])["droplets"]
    assert all(set(droplet) == sdk_names(outputs.GetDropletsDropletResult) for droplet in droplets)
    assert [{name: droplet[name] for name in ("name", *size)} for droplet in droplets] == [
        {"name": "a.example.test"} | size,
        {"name": "b.example.test"} | size,
    ]
    assert droplets[0]["ipv4Address"] != droplets[1]["ipv4Address"]
    [found] = ask(ocean, GET_DROPLETS, filters=[{"key": "name", "values": ["b.example.test"]}])["droplets"]
    assert found == droplets[1]


@pytest.mark.engine
def test_the_sdk_gets_its_answer_in_a_preview(service: Service, tmp_path: Path) -> None:
    settings = {"digitalocean:token": service.cloud.tokens.digitalocean, "digitalocean:apiEndpoint": service.url}
    run = Stack(tmp_path / "stack", PROGRAM, settings).pulumi("preview")
    assert run.code == 0, run.out + run.err
    assert "dearest" in run.out
