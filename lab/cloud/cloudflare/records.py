"""DNS records. The name server serves the records that are stored here: `lab.cloud.names` reads the same table."""

from __future__ import annotations

import re
import sqlite3
import uuid
from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Address
from typing import Any

from pydantic import BaseModel

from lab.cloud.clock import precise_now
from lab.cloud.cloudflare import zones
from lab.cloud.cloudflare.envelope import paged, result
from lab.cloud.errors import CloudflareError
from lab.cloud.messages import ApiRequest, ApiResponse, Routes

LABEL = re.compile(r"(?!-)[a-z0-9_\-]{1,63}(?<!-)")
TYPES = ("A", "CNAME")
AUTOMATIC = 1
SAME_HOST = "For more details, refer to the records already in the zone."


class NewRecord(BaseModel):
    """Body of POST and PUT: a whole record."""

    name: str
    type: str
    content: str
    ttl: int = AUTOMATIC
    proxied: bool = False
    comment: str | None = None
    tags: list[str] | None = None
    settings: dict[str, bool | None] | None = None


class RecordChange(BaseModel):
    """Body of PATCH: what is to change."""

    name: str | None = None
    type: str | None = None
    content: str | None = None
    ttl: int | None = None
    proxied: bool | None = None
    comment: str | None = None
    tags: list[str] | None = None
    settings: dict[str, bool | None] | None = None


def _json(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "name": row["name"],
        "type": row["type"],
        "content": row["content"],
        "proxiable": False,
        "proxied": False,
        "ttl": row["ttl"],
        "settings": {},
        "meta": {},
        "comment": row["comment"],
        "tags": [],
        "created_on": row["created_on"],
        "modified_on": row["modified_on"],
    }


def _checked(zone: str, new: NewRecord) -> NewRecord:
    """Check a record by Cloudflare's rules, and convert it to the form that the API returns."""
    kind = new.type.upper()
    if kind not in TYPES:
        raise CloudflareError(
            400, 1004, f"DNS Validation Error: the lab serves records of type A and CNAME, not {kind}"
        )
    if new.ttl != AUTOMATIC and not 60 <= new.ttl <= 86400:
        raise CloudflareError(400, 9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.")
    if new.proxied:
        raise CloudflareError(
            400, 9003, f"Target {new.content} is not allowed for a proxied record: the lab has no proxy"
        )
    if new.tags:
        raise CloudflareError(400, 9301, f"DNS record has {len(new.tags)} tags, exceeding the quota of 0.")
    if any((new.settings or {}).values()):
        raise CloudflareError(400, 1004, "DNS Validation Error: settings are for proxied records, which the lab lacks")
    if new.comment and len(new.comment) > 100:
        raise CloudflareError(400, 9213, "DNS record comment exceeds the quota of 100 characters.")
    content = _address(new.content) if kind == "A" else _target(new.content)
    return new.model_copy(update={"name": _full_name(zone, new.name), "type": kind, "content": content})


def _address(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except AddressValueError:
        raise CloudflareError(400, 9005, "Content for A record must be a valid IPv4 address.") from None


def _target(text: str) -> str:
    name = text.lower().rstrip(".")
    if not _is_name(name):
        raise CloudflareError(400, 9007, "Content for CNAME record is invalid.")
    return name


def _full_name(zone: str, text: str) -> str:
    """Add the zone's name where it is missing: like Cloudflare, accept `www`, `@` and full names."""
    name = text.lower().rstrip(".")
    if name in ("@", ""):
        name = zone
    elif name != zone and not name.endswith(f".{zone}"):
        name = f"{name}.{zone}"
    if not _is_name(name.removeprefix("*.")):
        raise CloudflareError(400, 9000, "DNS name is invalid.")
    return name


def _is_name(name: str) -> bool:
    return len(name) <= 253 and all(LABEL.fullmatch(label) for label in name.split("."))


def _refuse_clash(db: sqlite3.Connection, zone: str, new: NewRecord, own: str = "") -> None:
    rows = db.execute("SELECT * FROM records WHERE zone = ? AND name = ? AND id <> ?", (zone, new.name, own)).fetchall()
    if any(row["type"] == new.type and row["content"] == new.content for row in rows):
        raise CloudflareError(400, 81058, "An identical record already exists.")
    if new.type == "CNAME" and rows:
        raise CloudflareError(400, 81053, f"An A, AAAA, or CNAME record with that host already exists. {SAME_HOST}")
    if any(row["type"] == "CNAME" for row in rows):
        raise CloudflareError(400, 81054, f"A CNAME record with that host already exists. {SAME_HOST}")


def _existing(call: ApiRequest, db: sqlite3.Connection) -> sqlite3.Row:
    zone = zones.existing(call, db)["id"]
    query = "SELECT * FROM records WHERE zone = ? AND id = ?"
    row: sqlite3.Row | None = db.execute(query, (zone, call.path["record"])).fetchone()
    if row is None:
        raise CloudflareError(404, 81044, "Record does not exist.")
    return row


def _create(call: ApiRequest) -> ApiResponse:
    new = call.parse(NewRecord)
    with call.backend.store.transaction() as db:
        zone = zones.existing(call, db)
        new = _checked(zone["name"], new)
        _refuse_clash(db, zone["id"], new)
        record, moment = uuid.uuid4().hex, precise_now()
        db.execute(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (record, zone["id"], new.name, new.type, new.content, new.ttl, new.comment, moment, moment),
        )
        return result(_json(db.execute("SELECT * FROM records WHERE id = ?", (record,)).fetchone()))


def _get(call: ApiRequest) -> ApiResponse:
    with call.backend.store.transaction() as db:
        return result(_json(_existing(call, db)))


def _put(call: ApiRequest) -> ApiResponse:
    new = call.parse(NewRecord)
    return _write(call, lambda _row: new)


def _patch(call: ApiRequest) -> ApiResponse:
    change = call.parse(RecordChange).model_dump(exclude_unset=True)
    columns = ("name", "type", "content", "ttl", "comment")
    return _write(call, lambda row: NewRecord.model_validate({name: row[name] for name in columns} | change))


def _write(call: ApiRequest, become: Callable[[sqlite3.Row], NewRecord]) -> ApiResponse:
    with call.backend.store.transaction() as db:
        row, zone = _existing(call, db), zones.existing(call, db)
        new = _checked(zone["name"], become(row))
        _refuse_clash(db, zone["id"], new, row["id"])
        db.execute(
            "UPDATE records SET name = ?, type = ?, content = ?, ttl = ?, comment = ?, modified_on = ? WHERE id = ?",
            (new.name, new.type, new.content, new.ttl, new.comment, precise_now(), row["id"]),
        )
        return result(_json(_existing(call, db)))


def _delete(call: ApiRequest) -> ApiResponse:
    with call.backend.store.transaction() as db:
        row = _existing(call, db)
        db.execute("DELETE FROM records WHERE id = ?", (row["id"],))
    return result({"id": row["id"]})


def _list(call: ApiRequest) -> ApiResponse:
    with call.backend.store.transaction() as db:
        zone = zones.existing(call, db)["id"]
        rows = db.execute("SELECT * FROM records WHERE zone = ? ORDER BY name, type, content", (zone,)).fetchall()
    combine = any if call.query.get("match") == "any" else all
    filters = _filters(call)
    if filters:
        rows = [row for row in rows if combine(matches(row) for matches in filters)]
    search = call.query.get("search", "").lower()
    rows = [row for row in rows if any(search in str(row[name]).lower() for name in ("name", "content", "comment"))]
    order = call.query.get("order", "name")
    if order not in ("type", "name", "content", "ttl", "proxied"):
        raise CloudflareError(400, 1004, f"Invalid order {order!r}: type, name, content, ttl or proxied")
    if order != "proxied":  # no record is proxied
        rows.sort(key=lambda row: row[order], reverse=call.query.get("direction") == "desc")
    return paged(call, rows, _json, default=100, most=5_000_000)


COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "exact": str.__eq__,
    "contains": str.__contains__,
    "startswith": str.startswith,
    "endswith": str.endswith,
}


def _filters(call: ApiRequest) -> list[Callable[[sqlite3.Row], bool]]:
    """Read the filters of a list: `name=…` is short for `name.exact=…`."""
    found: list[Callable[[sqlite3.Row], bool]] = []
    for key, value in call.query.items():
        field, _, how = key.partition(".")
        compare = COMPARISONS.get(how or "exact")
        if field in ("name", "content", "comment") and compare:
            found.append(_comparison(field, compare, value.lower()))
        elif key == "type":
            found.append(_comparison("type", str.__eq__, value.lower()))
        elif key == "proxied":
            found.append(lambda _row, value=value: value == "false")  # type: ignore[misc]
    return found


def _comparison(field: str, compare: Callable[[str, str], bool], value: str) -> Callable[[sqlite3.Row], bool]:
    return lambda row: compare((row[field] or "").lower(), value)


ROUTES: Routes = {
    ("GET", "/zones/{zone}/dns_records"): _list,
    ("POST", "/zones/{zone}/dns_records"): _create,
    ("GET", "/zones/{zone}/dns_records/{record}"): _get,
    ("PUT", "/zones/{zone}/dns_records/{record}"): _put,
    ("PATCH", "/zones/{zone}/dns_records/{record}"): _patch,
    ("DELETE", "/zones/{zone}/dns_records/{record}"): _delete,
}
