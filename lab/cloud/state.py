"""The lab's one SQLite file: every resource of the account, kept across restarts and kills of the daemon."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VERSION = 1

SCHEMA = """
CREATE TABLE IF NOT EXISTS ssh_keys (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    public_key TEXT NOT NULL,
    fingerprint TEXT NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS tags (name TEXT PRIMARY KEY COLLATE NOCASE);
CREATE TABLE IF NOT EXISTS vpcs (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    region TEXT NOT NULL,
    ip_range TEXT NOT NULL,
    is_default INTEGER NOT NULL,
    created_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS droplets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice: hosts name their namespaces after it
    name TEXT NOT NULL,
    region TEXT NOT NULL,
    image TEXT NOT NULL,
    size TEXT NOT NULL,
    disk INTEGER NOT NULL,                 -- GiB; may stay behind the size's after a resize without the disk
    vpc TEXT NOT NULL REFERENCES vpcs (id),
    public TEXT NOT NULL UNIQUE,
    private TEXT NOT NULL,
    public_keys TEXT NOT NULL,             -- JSON list: a key deleted later stays on the host
    user_data TEXT NOT NULL,
    monitoring INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('new', 'made', 'failed')),
    wanted TEXT NOT NULL CHECK (wanted IN ('on', 'off')),
    deleting INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    UNIQUE (vpc, private)
);
CREATE TABLE IF NOT EXISTS departed (      -- droplets that are gone, and that their VPC counts as members still
    vpc TEXT NOT NULL REFERENCES vpcs (id) ON DELETE CASCADE,
    droplet INTEGER NOT NULL,
    name TEXT NOT NULL,
    created_at TEXT NOT NULL,
    until REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS droplet_tags (
    droplet INTEGER NOT NULL REFERENCES droplets (id) ON DELETE CASCADE,
    tag TEXT NOT NULL COLLATE NOCASE REFERENCES tags (name) ON DELETE CASCADE,
    PRIMARY KEY (droplet, tag)
);
CREATE TABLE IF NOT EXISTS actions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    droplet INTEGER NOT NULL,              -- outlives its droplet, as on DigitalOcean
    type TEXT NOT NULL,
    arguments TEXT NOT NULL,
    region TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('in-progress', 'completed', 'errored')),
    reason TEXT,
    started_at TEXT NOT NULL,
    completed_at TEXT
);
CREATE INDEX IF NOT EXISTS actions_by_droplet ON actions (droplet, status);
CREATE TABLE IF NOT EXISTS firewalls (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    inbound TEXT NOT NULL,
    outbound TEXT NOT NULL,
    created_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS firewall_tags (
    firewall TEXT NOT NULL REFERENCES firewalls (id) ON DELETE CASCADE,
    tag TEXT NOT NULL COLLATE NOCASE REFERENCES tags (name) ON DELETE CASCADE,
    PRIMARY KEY (firewall, tag)
);
CREATE TABLE IF NOT EXISTS firewall_droplets (
    firewall TEXT NOT NULL REFERENCES firewalls (id) ON DELETE CASCADE,
    droplet INTEGER NOT NULL REFERENCES droplets (id) ON DELETE CASCADE,
    PRIMARY KEY (firewall, droplet)
);
CREATE TABLE IF NOT EXISTS zones (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_on TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS records (
    id TEXT PRIMARY KEY,
    zone TEXT NOT NULL REFERENCES zones (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    content TEXT NOT NULL,
    ttl INTEGER NOT NULL,
    comment TEXT,
    created_on TEXT NOT NULL,
    modified_on TEXT NOT NULL,
    UNIQUE (zone, name, type, content)
);
CREATE INDEX IF NOT EXISTS records_by_name ON records (name);
"""


class Store:
    """One connection, one writer at a time; safe to use from any thread."""

    def __init__(self, path: Path) -> None:
        # The file holds user data: only its owner may read it, from the first byte (WAL files get the same mode).
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA foreign_keys = ON")
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, VERSION):
            self._db.close()
            message = (
                f"{path} was written by another version of the lab ({found}, this one is {VERSION}): clear the lab"
            )
            raise RuntimeError(message)
        self._db.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all of a block or, if it raises, nothing; one thread at a time. A nested block joins the outer one."""
        with self._lock:
            if self._db.in_transaction:
                yield self._db
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def changes(self) -> int:
        """Count the rows that were written since the start: the same number, the same content."""
        return self._db.total_changes

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
