"""digitalocean.getSizes, getRegions and getDroplets: lists of what the API has, filtered and sorted.

The API lists everything; the official plugin filters and sorts by itself, with the rules here. Keys of filters and
sorts are the API's names (`price_monthly`), those of the results are the SDK's (`priceMonthly`).
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from lab.plugins.digitalocean.client import Client
from lab.plugins.function import Function
from lab.plugins.resource import Call, PluginError
from lab.plugins.schema import Field, Fields, Kind
from lab.plugins.values import Properties

PER_PAGE: Final = 200
MATCHES: Final = ("exact", "re", "substring")
DIRECTIONS: Final = ("asc", "desc")

TEXT: Final = Field()
TEXTS: Final = Field(kind=Kind.SET, items=TEXT)
FLAG: Final = Field(kind=Kind.BOOLEAN)
INTEGER: Final = Field(kind=Kind.INTEGER)
NUMBER: Final = Field(kind=Kind.NUMBER)


def _arguments(columns: Fields) -> Fields:
    """Return the arguments of a list with these columns: all can filter, and those with one value can sort."""
    sortable = tuple(sorted(name for name, spec in columns.items() if spec.kind is not Kind.SET))
    keyed = {
        "key": Field(required=True, choices=tuple(sorted(columns))),
        "values": Field(kind=Kind.LIST, items=TEXT, required=True),
        "all": Field(kind=Kind.BOOLEAN, default=False),
        "matchBy": Field(choices=MATCHES, default="exact"),
    }
    ordered = {"key": Field(required=True, choices=sortable), "direction": Field(choices=DIRECTIONS, default="asc")}
    return {
        "filters": Field(kind=Kind.SET, items=Field(kind=Kind.OBJECT, fields=keyed)),
        "sorts": Field(kind=Kind.LIST, items=Field(kind=Kind.OBJECT, fields=ordered)),
    }


class _Listing(Function):
    """A list of what the API has at `/v2/KEY`."""

    key: ClassVar[str]
    columns: ClassVar[Fields]
    """Columns for filters and sorts, by the API's names."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def ask(self, arguments: Properties, call: Call) -> Properties:
        """Fetch all pages, leave out rows that do not match, and sort the others."""
        rows = self._rows(call)
        for wanted in arguments.get("filters") or []:
            test = _test(self.columns[wanted["key"]], wanted)
            rows = [row for row in rows if test(row[wanted["key"]])]
        for order in reversed(arguments.get("sorts") or []):  # each sort keeps the order of those that come after it
            rows.sort(key=lambda row: row[order["key"]], reverse=order["direction"] == "desc")
        return {**arguments, "id": secrets.token_hex(8), self.key: [self.render(row) for row in rows]}

    def render(self, row: Mapping[str, Any]) -> Properties:
        """Name a row's values as the SDK does."""
        raise NotImplementedError

    def _rows(self, call: Call) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        page = 1
        while True:
            answer = self._client.get(f"/v2/{self.key}?page={page}&per_page={PER_PAGE}", call)
            rows += answer[self.key]
            if not ((answer.get("links") or {}).get("pages") or {}).get("next"):
                return rows
            page += 1


class GetSizes(_Listing):
    """The kinds of droplet."""

    token = "digitalocean:index/getSizes:getSizes"
    key = "sizes"
    columns: ClassVar[Fields] = {
        "slug": TEXT,
        "available": FLAG,
        "transfer": NUMBER,
        "price_monthly": NUMBER,
        "price_hourly": NUMBER,
        "memory": INTEGER,
        "vcpus": INTEGER,
        "disk": INTEGER,
        "regions": TEXTS,
    }
    inputs = _arguments(columns)

    def render(self, row: Mapping[str, Any]) -> Properties:
        """Name a size's values."""
        return {
            "slug": row["slug"],
            "available": row["available"],
            "transfer": row["transfer"],
            "priceMonthly": row["price_monthly"],
            "priceHourly": row["price_hourly"],
            "memory": row["memory"],
            "vcpus": row["vcpus"],
            "disk": row["disk"],
            "regions": row["regions"],
            "gpuInfos": [_gpu(row["gpu_info"])] if row.get("gpu_info") else [],
        }


class GetRegions(_Listing):
    """The data centres, and which sizes each one has."""

    token = "digitalocean:index/getRegions:getRegions"
    key = "regions"
    columns: ClassVar[Fields] = {"slug": TEXT, "name": TEXT, "sizes": TEXTS, "features": TEXTS, "available": FLAG}
    inputs = _arguments(columns)

    def render(self, row: Mapping[str, Any]) -> Properties:
        """Name a region's values."""
        return {name: row[name] for name in self.columns}


class GetDroplets(_Listing):
    """The account's droplets. Those with GPUs (`gpus`) are not among them, and the lab has none."""

    token = "digitalocean:index/getDroplets:getDroplets"
    key = "droplets"
    columns: ClassVar[Fields] = {
        "id": INTEGER,
        "name": TEXT,
        "created_at": TEXT,
        "urn": TEXT,
        "region": TEXT,
        "image": TEXT,
        "size": TEXT,
        "disk": INTEGER,
        "vcpus": INTEGER,
        "memory": INTEGER,
        "price_hourly": NUMBER,
        "price_monthly": NUMBER,
        "status": TEXT,
        "locked": FLAG,
        "ipv4_address": TEXT,
        "ipv4_address_private": TEXT,
        "ipv6": FLAG,
        "ipv6_address": TEXT,
        "ipv6_address_private": TEXT,
        "backups": FLAG,
        "private_networking": FLAG,
        "monitoring": FLAG,
        "volume_ids": TEXTS,
        "tags": TEXTS,
        "vpc_uuid": TEXT,
        "gpu_partition_mode": TEXT,
    }
    inputs = _arguments(columns)

    def render(self, row: Mapping[str, Any]) -> Properties:
        """Name a droplet's values."""
        return {_camel(name): row[name] for name in self.columns}

    def _rows(self, call: Call) -> list[dict[str, Any]]:
        return [self._flat(row) for row in super()._rows(call)]

    @staticmethod
    def _flat(droplet: Mapping[str, Any]) -> dict[str, Any]:
        features, image = droplet["features"], droplet["image"]
        same = ("id", "name", "created_at", "disk", "vcpus", "memory", "status", "locked", "volume_ids", "tags")
        return {
            **{name: droplet[name] for name in same},
            "urn": f"do:droplet:{droplet['id']}",
            "region": droplet["region"]["slug"],
            "image": image.get("slug") or str(image["id"]),
            "size": droplet["size_slug"],
            "price_hourly": droplet["size"]["price_hourly"],
            "price_monthly": droplet["size"]["price_monthly"],
            **{
                f"{family}_address{suffix}": _address(droplet, family[2:], kind)
                for family in ("ipv4", "ipv6")
                for kind, suffix in (("public", ""), ("private", "_private"))
            },
            **{name: name in features for name in ("ipv6", "backups", "private_networking", "monitoring")},
            "vpc_uuid": droplet.get("vpc_uuid") or "",
            "gpu_partition_mode": "",
        }


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def _address(droplet: Mapping[str, Any], version: str, kind: str) -> str:
    found = (each for each in droplet["networks"][version] if each["type"] == kind)
    return next((str(each["ip_address"]) for each in found), "")


def _gpu(info: Mapping[str, Any]) -> Properties:
    vram = info.get("vram")
    return {
        "count": info.get("count", 0),
        "model": info.get("model", ""),
        "vrams": [{"amount": vram["amount"], "unit": vram["unit"]}] if vram else [],
        "supportedPartitionModes": info.get("supported_partition_modes") or [],
    }


def _test(column: Field, wanted: Properties) -> Callable[[Any], bool]:
    """Make a filter's test: a row's value against any of the wanted ones, or against all of them."""
    kind = column.items.kind if column.items else column.kind
    tests = [_one(kind, value, wanted["matchBy"]) for value in wanted["values"]]
    decide = all if wanted["all"] else any

    def test(value: Any) -> bool:  # noqa: ANN401 - a row's value may be of any kind
        values = value if column.kind is Kind.SET else [value]
        return decide(any(one(each) for each in values) for one in tests)

    return test


def _one(kind: Kind, wanted: str, match_by: str) -> Callable[[Any], bool]:
    try:
        match kind, match_by:
            case Kind.STRING, "re":
                pattern = re.compile(wanted)
                return lambda value: pattern.search(value) is not None
            case Kind.STRING, "substring":
                return lambda value: wanted in value
            case Kind.STRING, _:
                return lambda value: value.lower() == wanted.lower()
            case Kind.BOOLEAN, _:
                flag = {"true": True, "false": False}[wanted.lower()]
                return lambda value: value is flag
        number = float(wanted)
    except (ValueError, KeyError, re.error) as error:
        raise PluginError(f"filters: unable to parse {wanted!r} as {kind.name.lower()}: {error}") from None
    return lambda value: math.isclose(value, number, rel_tol=0, abs_tol=1e-6)
