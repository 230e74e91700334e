"""Droplets: requested here, made by `lab.cloud.actions`."""

from __future__ import annotations

import json
import re
import sqlite3
from ipaddress import IPv4Network
from typing import Any

from pydantic import BaseModel

from lab.cloud import inventory
from lab.cloud.addresses import private_address, public_address, vpc_gateway
from lab.cloud.clock import now
from lab.cloud.digitalocean import keys, offerings, tags, vpcs
from lab.cloud.digitalocean.scopes import NOT_AUTHORIZED
from lab.cloud.errors import ApiError, forbidden, not_found, unprocessable
from lab.cloud.messages import ApiRequest, ApiResponse, Handler, Routes
from lab.cloud.paging import paged
from lab.interfaces import Power

LABEL = re.compile(r"(?!-)[a-zA-Z0-9\-]{1,63}(?<!-)")
MOST_USER_DATA = 64 * 1024
MOST_AT_ONCE = 10


class NewDroplets(BaseModel):
    """Body of POST /v2/droplets, for one (`name`) or several (`names`)."""

    name: str | None = None
    names: list[str] | None = None
    region: str | None = None
    size: str
    image: str | int
    ssh_keys: list[str | int] | None = None
    tags: list[str] | None = None
    user_data: str | None = None
    vpc_uuid: str | None = None
    monitoring: bool = False
    backups: bool = False
    ipv6: bool = False
    volumes: list[str] | None = None
    public_networking: bool = True


def check_name(name: str) -> None:
    """Check that a droplet's name is a valid host name."""
    if len(name) > 253 or not all(LABEL.fullmatch(label) for label in name.split(".")):
        raise unprocessable(f"Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -): {name!r}")


def droplet_json(call: ApiRequest, row: sqlite3.Row) -> dict[str, Any]:
    """Render a droplet. Call it outside a transaction, because it asks for the state of the host's process."""
    with call.backend.store.transaction() as db:
        labels, locked = inventory.tags(db, row["id"]), busy(db, row)
    size, image = offerings.SIZES[row["size"]], offerings.find_image(row["image"])
    agent = ["monitoring"] if row["monitoring"] else []
    return {
        "id": row["id"],
        "name": row["name"],
        "memory": size.memory,
        "vcpus": size.vcpus,
        "disk": row["disk"],
        "disk_info": [offerings.disk_json(row["disk"])],
        "locked": locked,
        "status": status(call, row),
        "kernel": None,
        "created_at": row["created_at"],
        "features": [*agent, "private_networking"],
        "backup_ids": [],
        "next_backup_window": None,
        "snapshot_ids": [],
        "image": offerings.image_json(image) if image else {"slug": row["image"]},
        "volume_ids": [],
        "size": offerings.size_json(size),
        "size_slug": size.slug,
        "networks": {"v4": _networks(call, row), "v6": []},
        "region": offerings.region_json(row["region"]),
        "tags": list(labels),
        "vpc_uuid": row["vpc"],
    }


def status(call: ApiRequest, row: sqlite3.Row) -> str:
    """Return `new` until the host runs; after that the real state of its process, not the requested one."""
    if row["state"] == "new":
        return "new"
    if row["state"] == "failed":
        return "off"
    return "active" if call.backend.machines.power(row["id"]) is Power.ON else "off"


def busy(db: sqlite3.Connection, row: sqlite3.Row) -> bool:
    """Say whether an action runs on a droplet."""
    running = "SELECT 1 FROM actions WHERE droplet = ? AND status = 'in-progress'"
    return bool(row["deleting"] or db.execute(running, (row["id"],)).fetchone())


def existing(call: ApiRequest, db: sqlite3.Connection) -> sqlite3.Row:
    """Find the droplet the path names."""
    text = call.path["droplet"]
    row = inventory.droplet(db, int(text)) if text.isascii() and text.isdigit() else None
    if row is None:
        raise not_found()
    return row


def tagged(call: ApiRequest, db: sqlite3.Connection) -> list[sqlite3.Row]:
    """List the droplets with the tag the query names."""
    tag = call.query.get("tag_name")
    if not tag:
        raise ApiError(400, "bad_request", "tag_name is missing from the query")
    return inventory.droplets(db, "droplets.id IN (SELECT droplet FROM droplet_tags WHERE tag = ?)", tag)


def _networks(call: ApiRequest, row: sqlite3.Row) -> list[dict[str, str]]:
    if row["state"] == "new":
        return []  # as on DigitalOcean: a droplet shows its addresses once it runs
    vpc, network = IPv4Network(row["ip_range"]), call.backend.network
    return [
        {
            "ip_address": row["public"],
            "netmask": str(network.block.netmask),
            "gateway": str(network.gateway),
            "type": "public",
        },
        {
            "ip_address": row["private"],
            "netmask": str(vpc.netmask),
            "gateway": str(vpc_gateway(vpc)),
            "type": "private",
        },
    ]


def _list(call: ApiRequest) -> ApiResponse:
    with call.backend.store.transaction() as db:
        if "tag_name" in call.query:
            rows = tagged(call, db)
        elif call.query.get("type") == "gpus":
            rows = []
        else:
            rows = inventory.droplets(db)
        if "name" in call.query:
            rows = [row for row in rows if row["name"].lower() == call.query["name"].lower()]
    return paged(call, "droplets", rows, lambda row: droplet_json(call, row))


def _get(call: ApiRequest) -> ApiResponse:
    with call.backend.store.transaction() as db:
        row = existing(call, db)
    return ApiResponse(body={"droplet": droplet_json(call, row)})


def _create(call: ApiRequest) -> ApiResponse:
    new = call.parse(NewDroplets)
    _check_scopes(call, new)
    if (new.name is None) == (new.names is None):
        raise unprocessable("a droplet needs a name: give `name` for one, or `names` for several, and not both")
    with call.backend.store.transaction() as db:
        rows = _insert(call, db, new)
        started = {row["id"]: call.backend.actions.record(row, "create") for row in rows}
    bodies = [droplet_json(call, row) for row in rows]
    call.backend.actions.start(*started.values())
    links = [{"id": action, "rel": "create", "href": f"{call.base}/v2/actions/{action}"} for action in started.values()]
    droplets = {"droplet": bodies[0]} if new.names is None else {"droplets": bodies}
    return ApiResponse(status=202, body={**droplets, "links": {"actions": links}})


def _check_scopes(call: ApiRequest, new: NewDroplets) -> None:
    """Check the token's scopes for a new droplet: tagging creates tags; keys and VPC are read."""
    asked = {"tag:create": new.tags, "ssh_key:read": new.ssh_keys, "vpc:read": new.vpc_uuid}
    if not all(call.allowed(scope) for scope, value in asked.items() if value):
        raise forbidden(NOT_AUTHORIZED)


def _insert(call: ApiRequest, db: sqlite3.Connection, new: NewDroplets) -> list[sqlite3.Row]:
    names = [new.name] if new.name is not None else new.names or []
    _check_names(call, db, names)
    _refuse_what_the_lab_lacks(new)
    region, size, image = _choices(call, new)
    vpc = _vpc(call, db, new.vpc_uuid, region)
    public_keys = _public_keys(db, new.ssh_keys or [])
    user_data = new.user_data or ""
    if len(user_data.encode()) > MOST_USER_DATA:
        raise unprocessable("user_data is too long: 64 KiB at most")
    labels = tags.ensure(db, new.tags or [])
    created = []
    for name in names:
        cursor = db.execute(
            "INSERT INTO droplets (name, region, image, size, disk, vpc, public, private, public_keys, user_data, "
            "monitoring, state, wanted, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'new', 'on', ?)",
            (
                name,
                region,
                image.slug,
                size.slug,
                size.disk,
                vpc["id"],
                str(public_address(db, call.backend.network)),
                str(private_address(db, vpc["id"], IPv4Network(vpc["ip_range"]))),
                json.dumps(public_keys),
                user_data,
                new.monitoring,
                now(),
            ),
        )
        db.executemany("INSERT INTO droplet_tags VALUES (?, ?)", [(cursor.lastrowid, label) for label in labels])
        created += inventory.droplets(db, "droplets.id = ?", cursor.lastrowid)
    return created


def _check_names(call: ApiRequest, db: sqlite3.Connection, names: list[str]) -> None:
    if not 1 <= len(names) <= MOST_AT_ONCE:
        raise unprocessable(f"between 1 and {MOST_AT_ONCE} droplets can be created at once, not {len(names)}")
    for name in names:
        check_name(name)
    if db.execute("SELECT count(*) FROM droplets").fetchone()[0] + len(names) > call.faults.droplet_limit:
        raise unprocessable("creating this/these droplet(s) will exceed your droplet limit")


def _refuse_what_the_lab_lacks(new: NewDroplets) -> None:
    """Refuse what the lab does not support, because it would accept it without effect."""
    lacking = {
        "backups": new.backups,
        "ipv6": new.ipv6,
        "volumes": bool(new.volumes),
        "public_networking=false": not new.public_networking,
    }
    for name, asked in lacking.items():
        if asked:
            raise unprocessable(f"the lab does not support {name}: leave it out")


def _choices(call: ApiRequest, new: NewDroplets) -> tuple[str, offerings.Size, offerings.Image]:
    region = new.region or offerings.DEFAULT_REGION
    if region not in offerings.REGIONS:
        raise unprocessable(f"You specified an invalid region for Droplet creation: {region!r}")
    size = offerings.SIZES.get(new.size)
    if size is None:
        raise unprocessable(f"You specified an invalid size for Droplet creation: {new.size!r}")
    offerings.check_available(call.faults, size.slug, region)
    image = offerings.find_image(new.image)
    if image is None:
        raise unprocessable(f"You specified an invalid image for Droplet creation: {new.image!r}")
    if size.disk < image.min_disk:
        raise unprocessable(f"image {image.slug} needs {image.min_disk} GB of disk, size {size.slug} has {size.disk}")
    return region, size, image


def _vpc(call: ApiRequest, db: sqlite3.Connection, vpc_uuid: str | None, region: str) -> sqlite3.Row:
    row = vpcs.find(db, vpc_uuid or vpcs.default(call, db, region))
    if row is None:
        raise unprocessable(f"You specified an invalid VPC for Droplet creation: there is no VPC {vpc_uuid!r}")
    if row["region"] != region:
        raise unprocessable(f"VPC {row['name']} is in region {row['region']}, the droplet in {region}")
    return row


def _public_keys(db: sqlite3.Connection, references: list[str | int]) -> list[str]:
    found = {reference: keys.find(db, reference) for reference in references}
    unknown = [str(reference) for reference, row in found.items() if row is None]
    if unknown:
        raise unprocessable(f"{', '.join(unknown)} are invalid key identifiers for Droplet creation.")
    return [row["public_key"] for row in found.values() if row]


def _delete(call: ApiRequest) -> ApiResponse:
    with call.backend.store.transaction() as db:
        droplet = existing(call, db)["id"]
    if not _destroy(call, droplet):
        raise not_found()
    return ApiResponse(status=204)


def _destroy(call: ApiRequest, droplet: int) -> bool:
    """Remove a droplet, now or later; False if another call has already removed it."""
    seconds = call.faults.droplet_deletion_seconds
    if not seconds:
        return call.backend.actions.destroy(droplet)
    call.backend.actions.destroy_later(droplet, seconds)
    return True


def _delete_tagged(call: ApiRequest) -> ApiResponse:
    with call.backend.store.transaction() as db:
        droplets = [row["id"] for row in tagged(call, db)]
    for droplet in droplets:
        _destroy(call, droplet)
    return ApiResponse(status=204)


def _nothing(key: str) -> Handler:
    def handler(call: ApiRequest) -> ApiResponse:
        with call.backend.store.transaction() as db:
            existing(call, db)
        return paged(call, key, (), dict)

    return handler


ROUTES: Routes = {
    ("GET", "/v2/droplets"): _list,
    ("POST", "/v2/droplets"): _create,
    ("DELETE", "/v2/droplets"): _delete_tagged,
    ("GET", "/v2/droplets/{droplet}"): _get,
    ("DELETE", "/v2/droplets/{droplet}"): _delete,
    ("GET", "/v2/droplets/{droplet}/backups"): _nothing("backups"),
    ("GET", "/v2/droplets/{droplet}/snapshots"): _nothing("snapshots"),
}
