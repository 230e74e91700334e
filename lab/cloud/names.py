"""What the lab's name server answers: the records of the account's zones, as they are at the moment of asking."""

from __future__ import annotations

import sqlite3
from ipaddress import IPv4Address

from lab.cloud.store import Store

LONGEST_CHAIN = 8
"""CNAMEs followed before a loop is assumed."""


class ZoneRecords:
    """Looks names up in the store (the `Records` of `lab.machines`)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def zones(self) -> tuple[str, ...]:
        """Names this server is authoritative for."""
        with self._store.transaction() as db:
            return tuple(row["name"] for row in db.execute("SELECT name FROM zones ORDER BY name"))

    def addresses(self, name: str) -> tuple[IPv4Address, ...] | None:
        """Find a name's A records, CNAMEs followed; empty where the name exists without any, None where it does not."""
        with self._store.transaction() as db:
            return _addresses(db, name, LONGEST_CHAIN)


def _addresses(db: sqlite3.Connection, name: str, depth: int) -> tuple[IPv4Address, ...] | None:
    zone = _zone(db, name)
    if zone is None:
        return None
    rows = _matching(db, zone, name)
    if rows is None:
        return None
    targets = [row["content"] for row in rows if row["type"] == "CNAME"]
    if targets:
        # The target may lie outside the lab's zones, or nowhere; the name asked for exists all the same.
        return (_addresses(db, targets[0], depth - 1) or ()) if depth else ()
    return tuple(IPv4Address(row["content"]) for row in rows)


def _zone(db: sqlite3.Connection, name: str) -> str | None:
    return next(
        (end for end in _ends(name) if db.execute("SELECT 1 FROM zones WHERE name = ?", (end,)).fetchone()), None
    )


def _matching(db: sqlite3.Connection, zone: str, name: str) -> list[sqlite3.Row] | None:
    """Find a name's records, or those of the wildcard that stands for it (RFC 4592: that of its closest ancestor)."""
    for end in _ends(name):
        if end == zone or _exists(db, end):
            rows = _rows(db, end if end == name else f"*.{end}")
            return rows or ([] if end == name else None)
    return None


def _exists(db: sqlite3.Connection, name: str) -> bool:
    # A name above one with records exists as well, without records of its own.
    query = "SELECT 1 FROM records WHERE name = :name OR substr(name, -length(:name) - 1) = '.' || :name"
    return db.execute(query, {"name": name}).fetchone() is not None


def _rows(db: sqlite3.Connection, name: str) -> list[sqlite3.Row]:
    return db.execute("SELECT * FROM records WHERE name = ? ORDER BY rowid", (name,)).fetchall()


def _ends(name: str) -> list[str]:
    labels = name.split(".")
    return [".".join(labels[start:]) for start in range(len(labels))]
