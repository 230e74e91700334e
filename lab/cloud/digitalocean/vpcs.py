"""VPCs: networks with one private range each; no two ranges of the account overlap."""

from __future__ import annotations

import re
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from typing import Any

from pydantic import BaseModel, Field

from lab.cloud import inventory
from lab.cloud.addresses import checked_range, free_range
from lab.cloud.clock import now
from lab.cloud.digitalocean.offerings import REGIONS
from lab.cloud.errors import conflict, forbidden, not_found, unprocessable
from lab.cloud.messages import ApiRequest, ApiResponse, Routes
from lab.cloud.paging import paged

NAME = re.compile(r"[a-zA-Z0-9.\-]+")


class NewVpc(BaseModel):
    """Body of POST /v2/vpcs."""

    name: str
    region: str
    ip_range: str | None = None
    description: str = Field(default="", max_length=255)


class ChangedVpc(BaseModel):
    """Body of PUT /v2/vpcs/ID."""

    name: str
    description: str | None = Field(default=None, max_length=255)
    default: bool | None = None


class PatchedVpc(BaseModel):
    """Body of PATCH /v2/vpcs/ID."""

    name: str | None = None
    description: str | None = Field(default=None, max_length=255)
    default: bool | None = None


def find(db: sqlite3.Connection, vpc: str) -> sqlite3.Row | None:
    """Find a VPC by its id."""
    row: sqlite3.Row | None = db.execute("SELECT * FROM vpcs WHERE id = ?", (vpc,)).fetchone()
    return row


def default(call: ApiRequest, db: sqlite3.Connection, region: str) -> str:
    """Name the region's default VPC, for droplets that name no VPC; it is made when it is first needed."""
    _settle(call, db)
    return _default(db, region) or _make_default(db, region)


def _default(db: sqlite3.Connection, region: str) -> str | None:
    row = db.execute("SELECT id FROM vpcs WHERE region = ? AND is_default", (region,)).fetchone()
    return str(row["id"]) if row else None


def _make_default(db: sqlite3.Connection, region: str) -> str:
    network = free_range((network for _, network in _ranges(db)), region)
    return _insert(db, f"default-{region}", "", region, network, is_default=True)


def _settle(call: ApiRequest, db: sqlite3.Connection) -> None:
    """Make the default VPC of each region that the account has used; delete the lab's own in the other regions."""
    faults = call.faults
    settled = {row["region"] for row in db.execute("SELECT region FROM vpcs WHERE is_default")}
    for region in REGIONS:
        if not faults.is_fresh(region):
            if region not in settled:
                _make_default(db, region)
        elif region in settled:
            db.execute(
                "DELETE FROM vpcs WHERE region = ? AND is_default AND name = ? "
                "AND id NOT IN (SELECT vpc FROM droplets) "
                "AND NOT EXISTS (SELECT 1 FROM vpcs AS other "
                "WHERE other.region = vpcs.region AND NOT other.is_default)",
                (region, f"default-{region}"),
            )


@contextmanager
def _account(call: ApiRequest) -> Iterator[sqlite3.Connection]:
    """Open the account, with the default VPCs that it has."""
    with call.backend.store.transaction() as db:
        _settle(call, db)
        yield db


def _ranges(db: sqlite3.Connection) -> list[tuple[str, IPv4Network]]:
    return [(row["name"], IPv4Network(row["ip_range"])) for row in db.execute("SELECT name, ip_range FROM vpcs")]


def _insert(
    db: sqlite3.Connection, name: str, description: str, region: str, network: IPv4Network, *, is_default: bool
) -> str:
    vpc = str(uuid.uuid4())
    db.execute(
        "INSERT INTO vpcs VALUES (?, ?, ?, ?, ?, ?, ?)",
        (vpc, name, description, region, str(network), is_default, now()),
    )
    return vpc


def _json(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "urn": f"do:vpc:{row['id']}",
        "name": row["name"],
        "description": row["description"],
        "region": row["region"],
        "ip_range": row["ip_range"],
        "created_at": row["created_at"],
        "default": bool(row["is_default"]),
    }


def _existing(call: ApiRequest, db: sqlite3.Connection) -> sqlite3.Row:
    row = find(db, call.path["vpc"])
    if row is None:
        raise not_found()
    return row


def _check_name(db: sqlite3.Connection, name: str, own: str = "") -> None:
    if not NAME.fullmatch(name):
        raise unprocessable(f"name {name!r} is invalid: letters, digits, dashes and periods only")
    if db.execute("SELECT 1 FROM vpcs WHERE name = ? AND id <> ?", (name, own)).fetchone():
        raise unprocessable(f"name {name!r} is taken: a VPC of that name exists already")


def _list(call: ApiRequest) -> ApiResponse:
    with _account(call) as db:
        return paged(call, "vpcs", db.execute("SELECT * FROM vpcs ORDER BY rowid").fetchall(), _json)


def _create(call: ApiRequest) -> ApiResponse:
    new = call.parse(NewVpc)
    with _account(call) as db:
        _check_name(db, new.name)
        if new.region not in REGIONS:
            raise unprocessable(f"region {new.region!r} is invalid: one of {', '.join(REGIONS)}")
        taken = _ranges(db)
        if new.ip_range:
            network = checked_range(new.ip_range, taken, new.region)
        else:
            network = free_range((other for _, other in taken), new.region)
        vpc = _insert(db, new.name, new.description, new.region, network, is_default=_default(db, new.region) is None)
        row = find(db, vpc)
        assert row
        return ApiResponse(status=201, body={"vpc": _json(row)})


def _get(call: ApiRequest) -> ApiResponse:
    with call.backend.store.transaction() as db:
        return ApiResponse(body={"vpc": _json(_existing(call, db))})


def _put(call: ApiRequest) -> ApiResponse:
    return _update(call, call.parse(ChangedVpc))


def _patch(call: ApiRequest) -> ApiResponse:
    return _update(call, call.parse(PatchedVpc))


def _update(call: ApiRequest, change: ChangedVpc | PatchedVpc) -> ApiResponse:
    with call.backend.store.transaction() as db:
        row = _existing(call, db)
        if change.name is not None:
            _check_name(db, change.name, row["id"])
            db.execute("UPDATE vpcs SET name = ? WHERE id = ?", (change.name, row["id"]))
        if change.description is not None:
            db.execute("UPDATE vpcs SET description = ? WHERE id = ?", (change.description, row["id"]))
        if change.default is False and row["is_default"]:
            raise unprocessable("a default VPC cannot be unset: make another one of its region the default")
        if change.default:
            db.execute("UPDATE vpcs SET is_default = (id = ?) WHERE region = ?", (row["id"], row["region"]))
        return ApiResponse(body={"vpc": _json(_existing(call, db))})


def _delete(call: ApiRequest) -> ApiResponse:
    with call.backend.store.transaction() as db:
        row = _existing(call, db)
        if row["is_default"]:
            raise forbidden("Can not delete default VPCs")
        if inventory.members(db, row["id"]):
            raise conflict("Can not delete VPC with members")
        db.execute("DELETE FROM vpcs WHERE id = ?", (row["id"],))
    return ApiResponse(status=204)


def _members(call: ApiRequest) -> ApiResponse:
    with call.backend.store.transaction() as db:
        row = _existing(call, db)
        droplets = call.query.get("resource_type", "droplet") == "droplet"
        return paged(
            call,
            "members",
            inventory.members(db, row["id"]) if droplets else [],
            lambda droplet: {
                "urn": f"do:droplet:{droplet['id']}",
                "name": droplet["name"],
                "created_at": droplet["created_at"],
            },
        )


ROUTES: Routes = {
    ("GET", "/v2/vpcs"): _list,
    ("POST", "/v2/vpcs"): _create,
    ("GET", "/v2/vpcs/{vpc}"): _get,
    ("PUT", "/v2/vpcs/{vpc}"): _put,
    ("PATCH", "/v2/vpcs/{vpc}"): _patch,
    ("DELETE", "/v2/vpcs/{vpc}"): _delete,
    ("GET", "/v2/vpcs/{vpc}/members"): _members,
}
