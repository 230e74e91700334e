"""Answers of the lab's name server: the current records of the account's zones."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

from lab.cloud.clock import precise
from lab.cloud.state import Store
from lab.faults import Switches

LONGEST_CHAIN = 8
"""CNAMEs followed before a loop is assumed."""


class ZoneRecords:
    """Look-up of names in the store (the `Records` of `lab.interfaces`)."""

    def __init__(self, store: Store, switches: Switches) -> None:
        self._store = store
        self._switches = switches

    def zones(self) -> tuple[str, ...]:
        """Names this server is authoritative for."""
        with self._store.transaction() as db:
            return tuple(row["name"] for row in db.execute("SELECT name FROM zones ORDER BY name"))

    def version(self) -> int | None:
        """Return a number that changes when an answer may have changed; None while answers also depend on the time."""
        faults = self._switches.now()
        return None if faults.record_seconds or faults.nxdomain_seconds else self._store.changes()

    def addresses(self, name: str) -> tuple[IPv4Address, ...] | None:
        """Find a name's A records, following CNAMEs; empty if the name exists without any, None if it does not."""
        late = timedelta(seconds=self._switches.now().record_seconds)
        with self._store.transaction() as db:
            return _Served(db, precise(datetime.now(UTC) - late)).addresses(name, LONGEST_CHAIN)


@dataclass(frozen=True, slots=True)
class _Served:
    """The records that are served now: those made until `newest`, a timestamp whose text sorts by time."""

    db: sqlite3.Connection
    newest: str

    def addresses(self, name: str, depth: int) -> tuple[IPv4Address, ...] | None:
        zone = self._zone(name)
        if zone is None:
            return None
        rows = self._matching(zone, name)
        if rows is None:
            return None
        targets = [row["content"] for row in rows if row["type"] == "CNAME"]
        if targets:
            # The target may be outside the lab's zones, or may not exist; the requested name still exists.
            return (self.addresses(targets[0], depth - 1) or ()) if depth else ()
        return tuple(IPv4Address(row["content"]) for row in rows)

    def _zone(self, name: str) -> str | None:
        known = "SELECT 1 FROM zones WHERE name = ?"
        return next((end for end in _ends(name) if self.db.execute(known, (end,)).fetchone()), None)

    def _matching(self, zone: str, name: str) -> list[sqlite3.Row] | None:
        """Find a name's records, or those of the wildcard that matches it (RFC 4592: its closest ancestor's)."""
        for end in _ends(name):
            if end == zone or self._exists(end):
                rows = self._rows(end if end == name else f"*.{end}")
                return rows or ([] if end == name else None)
        return None

    def _exists(self, name: str) -> bool:
        # A parent of a name with records exists as well, without records of its own.
        query = (
            "SELECT 1 FROM records WHERE created_on <= :newest "
            "AND (name = :name OR substr(name, -length(:name) - 1) = '.' || :name)"
        )
        return self.db.execute(query, {"name": name, "newest": self.newest}).fetchone() is not None

    def _rows(self, name: str) -> list[sqlite3.Row]:
        query = "SELECT * FROM records WHERE name = ? AND created_on <= ? ORDER BY rowid"
        return self.db.execute(query, (name, self.newest)).fetchall()


def _ends(name: str) -> list[str]:
    labels = name.split(".")
    return [".".join(labels[start:]) for start in range(len(labels))]
