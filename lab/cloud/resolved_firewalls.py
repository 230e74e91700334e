"""Resolution of cloud firewalls: from tags, droplet ids and address lists to the rules of one machine."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, ip_network
from typing import Any

from lab.cloud import inventory
from lab.cloud.state import Store
from lab.faults import Switches
from lab.interfaces import Firewall, Machines, Rule

ALL_PORTS = "0"
"""The API's form of "all ports", and of the ports of icmp, which has none."""


Covered = Mapping[str, Mapping[int, str]]
"""Firewall id → droplet id → the rules that apply to the droplet."""


@dataclass(frozen=True, slots=True)
class _Picture:
    """The account's firewalls at one moment."""

    number: int = 0
    resolved: dict[int, Firewall | None] = field(default_factory=dict)
    covered: Covered = field(default_factory=dict)


class Firewalls:
    """Copy of the account's rules into the kernel, some seconds after each change."""

    def __init__(self, store: Store, machines: Machines, switches: Switches) -> None:
        self._store = store
        self._machines = machines
        self._switches = switches
        self._reading = threading.Lock()
        self._setting = threading.Lock()
        self._number = 0
        self._in_force = _Picture()

    def apply(self, *, at_once: bool = False) -> None:
        """Apply the current rules to the machines after `firewall_seconds`; with `at_once` or 0, before it returns."""
        # Pictures are numbered as they are read: a later one contains all earlier changes, and is never replaced by an
        # earlier one.
        with self._reading:
            self._number += 1
            picture = self._picture(self._number)
        seconds = 0.0 if at_once else self._switches.now().firewall_seconds
        if not seconds:
            self._put(picture)
            return
        timer = threading.Timer(seconds, self._put, (picture,))
        timer.daemon = True  # a stopping lab does not wait: the next start applies everything
        timer.start()

    def _put(self, picture: _Picture) -> None:
        with self._setting:
            if picture.number > self._in_force.number:
                self._machines.set_firewalls(picture.resolved)
                self._in_force = picture

    def pending(self, db: sqlite3.Connection, firewall: str) -> list[dict[str, Any]]:
        """List the droplets that a firewall's last change has not reached, in the API's form."""
        now, before = _rules_by_droplet(db, firewall), self._in_force.covered.get(firewall, {})
        changed = [(droplet, False) for droplet, rules in now.items() if before.get(droplet) != rules]
        gone = [(droplet, True) for droplet in before if droplet not in now and inventory.droplet(db, droplet)]
        return [
            {"droplet_id": droplet, "removing": removing, "status": "waiting"} for droplet, removing in changed + gone
        ]

    def resolved(self) -> dict[int, Firewall | None]:
        """Sum up, per droplet, the firewalls that apply to it by tag or id; None where none applies."""
        return self._picture(0).resolved

    def _picture(self, number: int) -> _Picture:
        with self._store.transaction() as db:
            droplets = inventory.droplets(db)
            places = _Places(db, droplets)
            applied: dict[int, list[sqlite3.Row]] = {row["id"]: [] for row in droplets}
            covered = {}
            for firewall in db.execute("SELECT * FROM firewalls ORDER BY name"):
                covered[firewall["id"]] = _rules_by_droplet(db, firewall["id"])
                for droplet in covered[firewall["id"]]:
                    applied[droplet].append(firewall)
        resolved = {droplet: _sum(firewalls, places) if firewalls else None for droplet, firewalls in applied.items()}
        return _Picture(number, resolved, covered)


def _rules_by_droplet(db: sqlite3.Connection, firewall: str) -> dict[int, str]:
    row = db.execute("SELECT inbound || outbound AS rules FROM firewalls WHERE id = ?", (firewall,)).fetchone()
    return dict.fromkeys(_covered(db, firewall), row["rules"])


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
        """Resolve one rule's sources or destinations; the lab's hosts have no IPv6, so IPv6 ranges match no host."""
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
