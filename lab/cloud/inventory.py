"""Droplets as they are in the store, and in the form that the hosts need."""

from __future__ import annotations

import json
import sqlite3
import time
from ipaddress import IPv4Interface, IPv4Network

from lab.interfaces import Machine, Power

QUERY = "SELECT droplets.*, vpcs.ip_range FROM droplets JOIN vpcs ON vpcs.id = droplets.vpc"


def droplets(db: sqlite3.Connection, where: str = "1", *values: object) -> list[sqlite3.Row]:
    """List droplets with the range of their VPC, oldest first; `where` is SQL from this code, never from a client."""
    return db.execute(f"{QUERY} WHERE {where} ORDER BY droplets.id", values).fetchall()


def droplet(db: sqlite3.Connection, droplet_id: int) -> sqlite3.Row | None:
    """Find one droplet."""
    return next(iter(droplets(db, "droplets.id = ?", droplet_id)), None)


def tags(db: sqlite3.Connection, droplet_id: int) -> tuple[str, ...]:
    """Name a droplet's tags in their first spelling."""
    rows = db.execute(
        "SELECT tags.name FROM tags JOIN droplet_tags ON tag = name WHERE droplet = ? ORDER BY name", (droplet_id,)
    )
    return tuple(row["name"] for row in rows)


def machine(db: sqlite3.Connection, row: sqlite3.Row, block: IPv4Network) -> Machine:
    """Collect everything that the hosts need to know about a droplet."""
    return Machine(
        id=row["id"],
        name=row["name"],
        image=row["image"],
        region=row["region"],
        size=row["size"],
        public=IPv4Interface(f"{row['public']}/{block.prefixlen}"),
        private=IPv4Interface(f"{row['private']}/{IPv4Network(row['ip_range']).prefixlen}"),
        vpc=row["vpc"],
        public_keys=tuple(json.loads(row["public_keys"])),
        user_data=row["user_data"],
        tags=tags(db, row["id"]),
    )


def depart(db: sqlite3.Connection, droplet_id: int, seconds: float) -> None:
    """Keep a droplet that is about to be deleted as a member of its VPC for so many seconds more."""
    db.execute("DELETE FROM departed WHERE until <= ?", (time.time(),))
    if seconds:
        db.execute(
            "INSERT INTO departed SELECT vpc, id, name, created_at, ? FROM droplets WHERE id = ?",
            (time.time() + seconds, droplet_id),
        )


def members(db: sqlite3.Connection, vpc: str) -> list[sqlite3.Row]:
    """List the members of a VPC: its droplets, and deleted ones that it still counts."""
    return db.execute(
        "SELECT id, name, created_at FROM droplets WHERE vpc = :vpc UNION ALL "
        "SELECT droplet AS id, name, created_at FROM departed WHERE vpc = :vpc AND until > :now ORDER BY id",
        {"vpc": vpc, "now": time.time()},
    ).fetchall()


def wanted(row: sqlite3.Row) -> Power:
    """Say whether a droplet was last asked to run."""
    return Power(row["wanted"])
