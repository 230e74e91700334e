"""Actions on droplets: checked and recorded here, carried out by `lab.cloud.actions`."""

from __future__ import annotations

import sqlite3
from typing import Any

from pydantic import BaseModel

from lab.cloud.digitalocean import droplets, offerings
from lab.cloud.errors import not_found, unprocessable
from lab.cloud.messages import ApiRequest, ApiResponse, Routes
from lab.cloud.paging import paged

REFUSED = {
    ("power_on", "active"): "Droplet is already powered on.",
    ("power_off", "off"): "Droplet is already powered off.",
    ("reboot", "off"): "Droplet is already powered off.",
    ("resize", "active"): "Droplet must be powered off before it can be resized.",
}
"""Errors for a droplet's status, in DigitalOcean's words: the official plugin looks for them.

As on DigitalOcean, it is not an error to shut down a droplet that is off: the plugin relies on it in a deletion.
"""

BY_TAG = ("power_on", "power_off", "shutdown", "power_cycle")


class NewAction(BaseModel):
    """Body of POST /v2/droplets/ID/actions."""

    type: str
    size: str | None = None
    disk: bool = False
    name: str | None = None


def _json(row: sqlite3.Row) -> dict[str, Any]:
    action = {
        "id": row["id"],
        "status": row["status"],
        "type": row["type"],
        "started_at": row["started_at"],
        "completed_at": row["completed_at"],
        "resource_id": row["droplet"],
        "resource_type": "droplet",
        "region": offerings.region_json(row["region"]),
        "region_slug": row["region"],
    }
    # DigitalOcean does not give the reason, but a user of the lab needs it.
    return action if row["reason"] is None else {**action, "message": row["reason"]}


def _begin(call: ApiRequest, db: sqlite3.Connection, droplet: sqlite3.Row, new: NewAction) -> sqlite3.Row:
    """Check and record one action."""
    arguments = _arguments(call, droplet, new)
    if droplets.busy(db, droplet):
        raise unprocessable("Droplet already has a pending event.")
    refusal = REFUSED.get((new.type, droplets.status(call, droplet)))
    if refusal:
        raise unprocessable(refusal)
    return _find(db, call.backend.actions.record(droplet, new.type, **arguments))


def _arguments(call: ApiRequest, droplet: sqlite3.Row, new: NewAction) -> dict[str, str | int]:
    """Check the arguments of an action; the result names the columns that it changes."""
    if new.type == "rename":
        droplets.check_name(new.name or "")
        return {"name": new.name or ""}
    if new.type == "resize":
        size = offerings.SIZES.get(new.size or "")
        if size is None:
            raise unprocessable(f"You specified an invalid size for Droplet resize: {new.size!r}")
        offerings.check_available(call.faults, size.slug, droplet["region"])
        if size.slug == droplet["size"]:
            raise unprocessable(f"Droplet {droplet['name']} is already of size {size.slug}.")
        if size.disk < droplet["disk"]:
            raise unprocessable(
                f"size {size.slug} has {size.disk} GB of disk, the droplet {droplet['disk']}: a disk cannot shrink"
            )
        return {"size": size.slug, "disk": size.disk if new.disk else droplet["disk"]}
    if new.type in ("power_on", "power_off", "shutdown", "reboot", "power_cycle"):
        return {}
    raise unprocessable(f"the lab does not support action {new.type!r}")


def _post(call: ApiRequest) -> ApiResponse:
    new = call.parse(NewAction)
    with call.backend.store.transaction() as db:
        action = _begin(call, db, droplets.existing(call, db), new)
    call.backend.actions.start(action["id"])
    return ApiResponse(status=201, body={"action": _json(action)})


def _post_tagged(call: ApiRequest) -> ApiResponse:
    new = call.parse(NewAction)
    if new.type not in BY_TAG:
        raise unprocessable(f"by tag go {', '.join(BY_TAG)}, not {new.type!r}")
    with call.backend.store.transaction() as db:
        # All or none: if one droplet refuses the action, it is not started on the others.
        actions = [_begin(call, db, droplet, new) for droplet in droplets.tagged(call, db)]
    call.backend.actions.start(*(action["id"] for action in actions))
    return ApiResponse(status=201, body={"actions": [_json(action) for action in actions]})


def _find(db: sqlite3.Connection, action: str | int) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute("SELECT * FROM actions WHERE CAST(id AS TEXT) = ?", (str(action),)).fetchone()
    if row is None:
        raise not_found()
    return row


def _get(call: ApiRequest) -> ApiResponse:
    with call.backend.store.transaction() as db:
        row = _find(db, call.path["action"])
    if "droplet" in call.path and str(row["droplet"]) != call.path["droplet"]:
        raise not_found()
    return ApiResponse(body={"action": _json(row)})


def _list(call: ApiRequest) -> ApiResponse:
    with call.backend.store.transaction() as db:
        return paged(call, "actions", db.execute("SELECT * FROM actions ORDER BY id DESC").fetchall(), _json)


def _list_of_droplet(call: ApiRequest) -> ApiResponse:
    with call.backend.store.transaction() as db:
        droplet = droplets.existing(call, db)["id"]
        rows = db.execute("SELECT * FROM actions WHERE droplet = ? ORDER BY id DESC", (droplet,)).fetchall()
    return paged(call, "actions", rows, _json)


ROUTES: Routes = {
    ("GET", "/v2/actions"): _list,
    ("GET", "/v2/actions/{action}"): _get,
    ("POST", "/v2/droplets/actions"): _post_tagged,
    ("GET", "/v2/droplets/{droplet}/actions"): _list_of_droplet,
    ("POST", "/v2/droplets/{droplet}/actions"): _post,
    ("GET", "/v2/droplets/{droplet}/actions/{action}"): _get,
}
