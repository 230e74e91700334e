"""Cloud firewalls: whole objects and their parts. A change is in force some seconds after the call is answered."""

from __future__ import annotations

import json
import re
import sqlite3
import uuid
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from lab.cloud import inventory
from lab.cloud.clock import now
from lab.cloud.digitalocean import droplets, tags
from lab.cloud.errors import conflict, not_found, unprocessable
from lab.cloud.messages import ApiRequest, ApiResponse, Routes
from lab.cloud.paging import paged
from lab.cloud.resolved_firewalls import ALL_PORTS, ports

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.\-]+")
MOST_TAGS, MOST_DROPLETS, MOST_RULES = 5, 10, 50


class Target(BaseModel):
    """Peers of a rule: any of these."""

    addresses: list[str] | None = None
    droplet_ids: list[int] | None = None
    tags: list[str] | None = None
    load_balancer_uids: list[str] | None = None
    kubernetes_ids: list[str] | None = None


class Rule(BaseModel):
    """Fields of rules in both directions."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    protocol: Literal["tcp", "udp", "icmp"]
    ports: str | None = None


class InboundRule(Rule):
    """Inbound rule."""

    sources: Target


class OutboundRule(Rule):
    """Outbound rule."""

    destinations: Target


class Rules(BaseModel):
    """Body of POST and DELETE /v2/firewalls/ID/rules."""

    inbound_rules: list[InboundRule] | None = None
    outbound_rules: list[OutboundRule] | None = None


class NewFirewall(Rules):
    """Body of POST /v2/firewalls and PUT /v2/firewalls/ID."""

    name: str
    droplet_ids: list[int] | None = None
    tags: list[str] | None = None


class Tags(BaseModel):
    """Body of POST and DELETE /v2/firewalls/ID/tags."""

    tags: list[str]


class Droplets(BaseModel):
    """Body of POST and DELETE /v2/firewalls/ID/droplets."""

    droplet_ids: list[int]


def _inbound(db: sqlite3.Connection, rules: Rules) -> list[dict[str, Any]]:
    return [_normal(db, rule, "sources", rule.sources) for rule in rules.inbound_rules or ()]


def _outbound(db: sqlite3.Connection, rules: Rules) -> list[dict[str, Any]]:
    return [_normal(db, rule, "destinations", rule.destinations) for rule in rules.outbound_rules or ()]


def _normal(db: sqlite3.Connection, rule: Rule, side: str, target: Target) -> dict[str, Any]:
    """Check a rule, and convert it to the form that the API returns."""
    if target.load_balancer_uids or target.kubernetes_ids:
        raise unprocessable(f"{side}: the lab has no load balancers and no managed Kubernetes: use tags or addresses")
    named = {name: value for name, value in target.model_dump().items() if value}
    if not named:
        raise unprocessable(f"{side}: a rule needs at least one address, droplet id or tag")
    for address in target.addresses or ():
        try:
            ip_network(address, strict=False)
        except ValueError:
            raise unprocessable(
                f"{side}: invalid address {address!r}: an address or a range in CIDR notation"
            ) from None
    _check_tags(db, target.tags or [])
    _check_droplets(db, target.droplet_ids or [])
    return {"protocol": rule.protocol, "ports": _ports(rule), side: named}


def _ports(rule: Rule) -> str:
    if rule.protocol == "icmp":
        return ALL_PORTS
    if rule.ports is None:
        raise unprocessable(f"ports must be given for {rule.protocol}: a port, a range such as 8000-9000, or all")
    text = ALL_PORTS if rule.ports == "all" else rule.ports
    try:
        ports(text)
    except ValueError:
        raise unprocessable(f"invalid ports {rule.ports!r}: a port, a range such as 8000-9000, or all") from None
    return text


def _check_tags(db: sqlite3.Connection, names: Sequence[str]) -> None:
    missing = tags.missing(db, names)
    if missing:
        raise unprocessable(f"tags {', '.join(missing)} do not exist: create them before a firewall names them")


def _check_droplets(db: sqlite3.Connection, ids: Sequence[int]) -> None:
    for droplet in ids:
        if inventory.droplet(db, droplet) is None:
            raise unprocessable(f"droplet {droplet} does not exist")


def _assign(db: sqlite3.Connection, firewall: str, names: Sequence[str], ids: Sequence[int]) -> None:
    _check_tags(db, names)
    _check_droplets(db, ids)
    db.executemany("INSERT OR IGNORE INTO firewall_tags VALUES (?, ?)", [(firewall, name) for name in names])
    db.executemany("INSERT OR IGNORE INTO firewall_droplets VALUES (?, ?)", [(firewall, droplet) for droplet in ids])


def _tags(db: sqlite3.Connection, firewall: str) -> list[str]:
    query = "SELECT name FROM tags JOIN firewall_tags ON tag = name WHERE firewall = ? ORDER BY name"
    return [row["name"] for row in db.execute(query, (firewall,))]


def _droplets(db: sqlite3.Connection, firewall: str) -> list[int]:
    query = "SELECT droplet FROM firewall_droplets WHERE firewall = ? ORDER BY droplet"
    return [row["droplet"] for row in db.execute(query, (firewall,))]


def _check(db: sqlite3.Connection, firewall: str) -> None:
    """Check a firewall, as it would be after this transaction, against the API's limits."""
    row = _find(db, firewall)
    rules = len(json.loads(row["inbound"])) + len(json.loads(row["outbound"]))
    if not rules:
        raise unprocessable("a firewall must have at least one rule, inbound or outbound")
    if rules > MOST_RULES:
        raise unprocessable(f"a firewall can have at most {MOST_RULES} rules, not {rules}")
    if len(_tags(db, firewall)) > MOST_TAGS:
        raise unprocessable(f"a firewall can have at most {MOST_TAGS} tags")
    if len(_droplets(db, firewall)) > MOST_DROPLETS:
        raise unprocessable(f"a firewall can have at most {MOST_DROPLETS} droplet ids: use a tag")


def _check_name(db: sqlite3.Connection, name: str, own: str = "") -> None:
    if not NAME.fullmatch(name):
        raise unprocessable(f"invalid name {name!r}: letters, digits, dashes and periods, and no dash or period first")
    if db.execute("SELECT 1 FROM firewalls WHERE name = ? AND id <> ?", (name, own)).fetchone():
        raise conflict("duplicate name")


def _find(db: sqlite3.Connection, firewall: str) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute("SELECT * FROM firewalls WHERE id = ?", (firewall,)).fetchone()
    if row is None:
        raise not_found()
    return row


def _json(call: ApiRequest, db: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    pending = call.backend.firewalls.pending(db, row["id"])
    return {
        "id": row["id"],
        "name": row["name"],
        "status": "waiting" if pending else "succeeded",
        "created_at": row["created_at"],
        "pending_changes": pending,
        "inbound_rules": json.loads(row["inbound"]),
        "outbound_rules": json.loads(row["outbound"]),
        "droplet_ids": _droplets(db, row["id"]),
        "tags": _tags(db, row["id"]),
    }


def _list(call: ApiRequest) -> ApiResponse:
    with call.backend.store.transaction() as db:
        rows = db.execute("SELECT * FROM firewalls ORDER BY rowid").fetchall()
        return paged(call, "firewalls", rows, lambda row: _json(call, db, row))


def _list_of_droplet(call: ApiRequest) -> ApiResponse:
    with call.backend.store.transaction() as db:
        droplet = droplets.existing(call, db)["id"]
        rows = db.execute(
            "SELECT * FROM firewalls WHERE id IN (SELECT firewall FROM firewall_droplets WHERE droplet = :droplet) "
            "OR id IN (SELECT firewall FROM firewall_tags JOIN droplet_tags USING (tag) WHERE droplet = :droplet) "
            "ORDER BY rowid",
            {"droplet": droplet},
        ).fetchall()
        return paged(call, "firewalls", rows, lambda row: _json(call, db, row))


def _get(call: ApiRequest) -> ApiResponse:
    with call.backend.store.transaction() as db:
        return ApiResponse(body=_body(call, db, call.path["firewall"]))


def _body(call: ApiRequest, db: sqlite3.Connection, firewall: str) -> dict[str, Any]:
    return {"firewall": _json(call, db, _find(db, firewall))}


def _create(call: ApiRequest) -> ApiResponse:
    new = call.parse(NewFirewall)
    firewall = str(uuid.uuid4())
    with call.backend.store.transaction() as db:
        _check_name(db, new.name)
        db.execute("INSERT INTO firewalls VALUES (?, ?, '[]', '[]', ?)", (firewall, new.name, now()))
        _write(db, firewall, new)
    return _applied(call, firewall, 202)


def _put(call: ApiRequest) -> ApiResponse:
    new = call.parse(NewFirewall)
    with call.backend.store.transaction() as db:
        firewall = _find(db, call.path["firewall"])["id"]
        _check_name(db, new.name, firewall)
        # The whole object is replaced: what is not in the body is no longer covered.
        db.execute("DELETE FROM firewall_tags WHERE firewall = ?", (firewall,))
        db.execute("DELETE FROM firewall_droplets WHERE firewall = ?", (firewall,))
        _write(db, firewall, new)
    return _applied(call, firewall, 200)


def _applied(call: ApiRequest, firewall: str, status: int) -> ApiResponse:
    """Apply a changed firewall to the machines, and return it with its progress."""
    call.backend.firewalls.apply()
    with call.backend.store.transaction() as db:
        return ApiResponse(status=status, body=_body(call, db, firewall))


def _write(db: sqlite3.Connection, firewall: str, new: NewFirewall) -> None:
    db.execute(
        "UPDATE firewalls SET name = ?, inbound = ?, outbound = ? WHERE id = ?",
        (new.name, json.dumps(_inbound(db, new)), json.dumps(_outbound(db, new)), firewall),
    )
    _assign(db, firewall, new.tags or [], new.droplet_ids or [])
    _check(db, firewall)


def _delete(call: ApiRequest) -> ApiResponse:
    with call.backend.store.transaction() as db:
        db.execute("DELETE FROM firewalls WHERE id = ?", (_find(db, call.path["firewall"])["id"],))
    call.backend.firewalls.apply()
    return ApiResponse(status=204)


def _part(change: Callable[[ApiRequest, sqlite3.Connection, sqlite3.Row], None]) -> Callable[[ApiRequest], ApiResponse]:
    """Make a handler that changes a part of a firewall."""

    def handler(call: ApiRequest) -> ApiResponse:
        with call.backend.store.transaction() as db:
            row = _find(db, call.path["firewall"])
            change(call, db, row)
            _check(db, row["id"])
        call.backend.firewalls.apply()
        return ApiResponse(status=204)

    return handler


def _add_tags(call: ApiRequest, db: sqlite3.Connection, row: sqlite3.Row) -> None:
    _assign(db, row["id"], call.parse(Tags).tags, [])


def _remove_tags(call: ApiRequest, db: sqlite3.Connection, row: sqlite3.Row) -> None:
    names = [(row["id"], name) for name in call.parse(Tags).tags]
    db.executemany("DELETE FROM firewall_tags WHERE firewall = ? AND tag = ?", names)


def _add_droplets(call: ApiRequest, db: sqlite3.Connection, row: sqlite3.Row) -> None:
    _assign(db, row["id"], [], call.parse(Droplets).droplet_ids)


def _remove_droplets(call: ApiRequest, db: sqlite3.Connection, row: sqlite3.Row) -> None:
    ids = [(row["id"], droplet) for droplet in call.parse(Droplets).droplet_ids]
    db.executemany("DELETE FROM firewall_droplets WHERE firewall = ? AND droplet = ?", ids)


def _add_rules(call: ApiRequest, db: sqlite3.Connection, row: sqlite3.Row) -> None:
    rules = call.parse(Rules)
    inbound, outbound = json.loads(row["inbound"]), json.loads(row["outbound"])
    inbound += [rule for rule in _inbound(db, rules) if rule not in inbound]
    outbound += [rule for rule in _outbound(db, rules) if rule not in outbound]
    _store_rules(db, row, inbound, outbound)


def _remove_rules(call: ApiRequest, db: sqlite3.Connection, row: sqlite3.Row) -> None:
    rules = call.parse(Rules)
    inbound, outbound = json.loads(row["inbound"]), json.loads(row["outbound"])
    for kept, gone in ((inbound, _inbound(db, rules)), (outbound, _outbound(db, rules))):
        for rule in gone:
            if rule not in kept:
                raise unprocessable(f"the firewall has no such rule: {json.dumps(rule)}")
            kept.remove(rule)
    _store_rules(db, row, inbound, outbound)


def _store_rules(db: sqlite3.Connection, row: sqlite3.Row, inbound: list[Any], outbound: list[Any]) -> None:
    db.execute(
        "UPDATE firewalls SET inbound = ?, outbound = ? WHERE id = ?",
        (json.dumps(inbound), json.dumps(outbound), row["id"]),
    )


ROUTES: Routes = {
    ("GET", "/v2/firewalls"): _list,
    ("POST", "/v2/firewalls"): _create,
    ("GET", "/v2/firewalls/{firewall}"): _get,
    ("PUT", "/v2/firewalls/{firewall}"): _put,
    ("DELETE", "/v2/firewalls/{firewall}"): _delete,
    ("POST", "/v2/firewalls/{firewall}/tags"): _part(_add_tags),
    ("DELETE", "/v2/firewalls/{firewall}/tags"): _part(_remove_tags),
    ("POST", "/v2/firewalls/{firewall}/droplets"): _part(_add_droplets),
    ("DELETE", "/v2/firewalls/{firewall}/droplets"): _part(_remove_droplets),
    ("POST", "/v2/firewalls/{firewall}/rules"): _part(_add_rules),
    ("DELETE", "/v2/firewalls/{firewall}/rules"): _part(_remove_rules),
    ("GET", "/v2/droplets/{droplet}/firewalls"): _list_of_droplet,
}
