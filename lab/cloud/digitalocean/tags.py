"""Tags: account-wide names, and their droplets. A changed tag changes firewalls before the call is answered."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from lab.cloud import inventory
from lab.cloud.errors import ApiError, not_found, unprocessable
from lab.cloud.messages import ApiRequest, ApiResponse, Routes
from lab.cloud.paging import paged

NAME = re.compile(r"[a-zA-Z0-9_\-:]{1,255}")


class NewTag(BaseModel):
    """Body of POST /v2/tags."""

    name: str


class Resource(BaseModel):
    """Something to tag or untag; the lab has droplets."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    resource_id: str
    resource_type: Literal["droplet", "image", "volume", "volume_snapshot"]


class Resources(BaseModel):
    """Body of POST and DELETE /v2/tags/NAME/resources."""

    resources: list[Resource]


def ensure(db: sqlite3.Connection, names: Iterable[str]) -> list[str]:
    """Create the tags that do not exist yet; return all of them in their first spelling."""
    return [_ensure(db, name) for name in dict.fromkeys(names)]


def _ensure(db: sqlite3.Connection, name: str) -> str:
    if not NAME.fullmatch(name):
        message = f"tag name {name!r} is invalid: letters, digits, colons, dashes and underscores, 255 at most"
        # The published shape of this answer differs from all others; this answer has the fields of both.
        raise ApiError(400, "bad_request", message, error=message, messages=None, root_causes=[])
    db.execute("INSERT OR IGNORE INTO tags VALUES (?)", (name,))
    return str(db.execute("SELECT name FROM tags WHERE name = ?", (name,)).fetchone()["name"])


def missing(db: sqlite3.Connection, names: Iterable[str]) -> list[str]:
    """List those of the tags that do not exist."""
    return [name for name in names if not db.execute("SELECT 1 FROM tags WHERE name = ?", (name,)).fetchone()]


def _json(call: ApiRequest, db: sqlite3.Connection, name: str) -> dict[str, Any]:
    rows = db.execute("SELECT droplet FROM droplet_tags WHERE tag = ? ORDER BY rowid", (name,)).fetchall()
    droplets: dict[str, Any] = {"count": len(rows)}
    if rows:
        droplets["last_tagged_uri"] = f"{call.base}/v2/droplets/{rows[-1]['droplet']}"
    nothing = {"count": 0}
    others = {"images": nothing, "volumes": nothing, "volume_snapshots": nothing, "databases": nothing}
    return {"name": name, "resources": {**droplets, "droplets": droplets, **others}}


def _existing(call: ApiRequest, db: sqlite3.Connection) -> str:
    row = db.execute("SELECT name FROM tags WHERE name = ?", (call.path["tag"],)).fetchone()
    if row is None:
        raise not_found()
    return str(row["name"])


def _list(call: ApiRequest) -> ApiResponse:
    with call.backend.store.transaction() as db:
        names = [row["name"] for row in db.execute("SELECT name FROM tags ORDER BY name")]
        return paged(call, "tags", names, lambda name: _json(call, db, name))


def _create(call: ApiRequest) -> ApiResponse:
    # Creating a tag that exists is not an error: the official plugin does so before it tags a droplet.
    with call.backend.store.transaction() as db:
        (name,) = ensure(db, [call.parse(NewTag).name])
        return ApiResponse(status=201, body={"tag": _json(call, db, name)})


def _get(call: ApiRequest) -> ApiResponse:
    with call.backend.store.transaction() as db:
        return ApiResponse(body={"tag": _json(call, db, _existing(call, db))})


def _delete(call: ApiRequest) -> ApiResponse:
    with call.backend.store.transaction() as db:
        name = _existing(call, db)
        carriers = [row["droplet"] for row in db.execute("SELECT droplet FROM droplet_tags WHERE tag = ?", (name,))]
        db.execute("DELETE FROM tags WHERE name = ?", (name,))
    _changed(call, carriers)
    return ApiResponse(status=204)


def _assign(call: ApiRequest) -> ApiResponse:
    return _change(call, "INSERT OR IGNORE INTO droplet_tags (droplet, tag) VALUES (?, ?)")


def _unassign(call: ApiRequest) -> ApiResponse:
    return _change(call, "DELETE FROM droplet_tags WHERE droplet = ? AND tag = ?")


def _change(call: ApiRequest, statement: str) -> ApiResponse:
    resources = call.parse(Resources).resources
    with call.backend.store.transaction() as db:
        name = _existing(call, db)
        droplets = [_droplet(db, resource) for resource in resources]
        for droplet in droplets:
            db.execute(statement, (droplet, name))
    _changed(call, droplets)
    return ApiResponse(status=204)


def _droplet(db: sqlite3.Connection, resource: Resource) -> int:
    if resource.resource_type != "droplet":
        raise unprocessable(f"the lab has no {resource.resource_type}s to tag, only droplets")
    row = inventory.droplet(db, int(resource.resource_id)) if resource.resource_id.isdecimal() else None
    if row is None:
        raise not_found()
    return int(row["id"])


def _changed(call: ApiRequest, droplets: Iterable[int]) -> None:
    """Apply a change of tags to the firewalls, and to the hosts' metadata."""
    backend = call.backend
    backend.firewalls.apply()
    with backend.store.transaction() as db:
        rows = [row for droplet in droplets if (row := inventory.droplet(db, droplet)) and row["state"] == "made"]
        machines = [inventory.machine(db, row, backend.network.block) for row in rows]
    for machine in machines:
        backend.machines.update(machine)


ROUTES: Routes = {
    ("GET", "/v2/tags"): _list,
    ("POST", "/v2/tags"): _create,
    ("GET", "/v2/tags/{tag}"): _get,
    ("DELETE", "/v2/tags/{tag}"): _delete,
    ("POST", "/v2/tags/{tag}/resources"): _assign,
    ("DELETE", "/v2/tags/{tag}/resources"): _unassign,
}
