"""Cloud firewalls resolved: from tags, droplet ids and address lists to what one machine lets through."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, ip_network
from typing import Any

from lab.cloud import inventory
from lab.cloud.store import Store
from lab.machines import Firewall, Machines, Rule

ALL_PORTS = "0"
"""How the API writes "all ports" back, and icmp's missing ones."""


class Firewalls:
    """Keeps the kernel's rules true to the account's."""

    def __init__(self, store: Store, machines: Machines) -> None:
        self._store = store
        self._machines = machines
        self._lock = threading.Lock()

    def apply(self) -> None:
        """Bring what holds now to the machines; back only when it is in force."""
        # Read inside the lock: of two changes at once, the later call brings both.
        with self._lock:
            self._machines.set_firewalls(self.resolved())

    def resolved(self) -> dict[int, Firewall | None]:
        """Sum up, per droplet, the firewalls that apply to it by tag or id; None where none does."""
        with self._store.transaction() as db:
            droplets = inventory.droplets(db)
            places = _Places(db, droplets)
            applied: dict[int, list[sqlite3.Row]] = {row["id"]: [] for row in droplets}
            for firewall in db.execute("SELECT * FROM firewalls ORDER BY name"):
                for droplet in _covered(db, firewall["id"]):
                    applied[droplet].append(firewall)
        return {droplet: _sum(firewalls, places) if firewalls else None for droplet, firewalls in applied.items()}


def _covered(db: sqlite3.Connection, firewall: str) -> list[int]:
    rows = db.execute(
        "SELECT droplet FROM firewall_droplets WHERE firewall = :id UNION "
        "SELECT droplet FROM droplet_tags JOIN firewall_tags USING (tag) WHERE firewall = :id",
        {"id": firewall},
    )
    return [row["droplet"] for row in rows]


class _Places:
    """Addresses of droplets, by id and by tag: public and private ones, since traffic may come from either."""

    def __init__(self, db: sqlite3.Connection, droplets: Iterable[sqlite3.Row]) -> None:
        self.by_id = {row["id"]: (IPv4Network(row["public"]), IPv4Network(row["private"])) for row in droplets}
        self.by_tag: dict[str, list[int]] = {}
        for row in db.execute("SELECT droplet, tag FROM droplet_tags ORDER BY droplet"):
            self.by_tag.setdefault(row["tag"].lower(), []).append(row["droplet"])

    def of(self, target: Mapping[str, Any]) -> tuple[IPv4Network, ...]:
        """Resolve one rule's sources or destinations; the lab's hosts have no IPv6, so those allow nobody."""
        ids = [*target.get("droplet_ids", ())]
        for tag in target.get("tags", ()):
            ids += self.by_tag.get(tag.lower(), ())
        networks = [ip_network(text, strict=False) for text in target.get("addresses", ())]
        found = [network for network in networks if isinstance(network, IPv4Network)]
        found += [address for droplet in ids for address in self.by_id.get(droplet, ())]
        return tuple(dict.fromkeys(found))


def _sum(firewalls: Iterable[sqlite3.Row], places: _Places) -> Firewall:
    return Firewall(
        inbound=tuple(_rules(firewalls, "inbound", "sources", places)),
        outbound=tuple(_rules(firewalls, "outbound", "destinations", places)),
    )


def _rules(firewalls: Iterable[sqlite3.Row], side: str, target: str, places: _Places) -> Iterable[Rule]:
    rules = dict.fromkeys(
        Rule(protocol=rule["protocol"], ports=ports(rule["ports"]), peers=places.of(rule[target]))
        for firewall in firewalls
        for rule in json.loads(firewall[side])
    )
    return (rule for rule in rules if rule.peers)


def ports(text: str) -> tuple[int, int] | None:
    """Read "22", "8000-9000" or "0" (all) as stored; ValueError where it is none of these."""
    if text == ALL_PORTS:
        return None
    first, dash, last = text.partition("-")
    bounds = int(first), int(last if dash else first)
    if not 1 <= bounds[0] <= bounds[1] <= 65535:
        raise ValueError(text)
    return bounds
