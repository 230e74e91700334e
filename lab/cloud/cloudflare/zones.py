"""Zones: made with the lab, and read-only in the API."""

from __future__ import annotations

import re
import sqlite3
from typing import Any

from lab.cloud.cloudflare.envelope import paged, result
from lab.cloud.cloudflare.permissions import READ_ZONES
from lab.cloud.errors import CloudflareError
from lab.cloud.messages import ApiRequest, ApiResponse, Routes

ID = re.compile(r"[0-9a-f]{32}")
ACCOUNT = {"id": "1ab0000000004000800000000000acc7", "name": "Triplane Lab"}
PERMISSIONS = ["#dns_records:edit", "#dns_records:read", "#zone:read"]


def existing(call: ApiRequest, db: sqlite3.Connection) -> sqlite3.Row:
    """Find the zone the path names."""
    zone = call.path["zone"]
    if not ID.fullmatch(zone):
        raise CloudflareError(
            404, 7003, f"Could not route to {call.url_path}, perhaps your object identifier is invalid?"
        )
    row: sqlite3.Row | None = db.execute("SELECT * FROM zones WHERE id = ?", (zone,)).fetchone()
    if row is None:
        raise CloudflareError(404, 1001, f"Invalid zone identifier: the lab has no zone {zone}")
    return row


def _json(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "name": row["name"],
        "status": "active",
        "paused": False,
        "type": "full",
        "development_mode": 0,
        "name_servers": [f"ns1.{row['name']}", f"ns2.{row['name']}"],
        "original_name_servers": None,
        "original_registrar": None,
        "original_dnshost": None,
        "modified_on": row["created_on"],
        "created_on": row["created_on"],
        "activated_on": row["created_on"],
        "meta": {"step": 2, "custom_certificate_quota": 0, "page_rule_quota": 0, "phishing_detected": False},
        "owner": {"id": None, "type": "user", "email": None},
        "account": ACCOUNT,
        "permissions": PERMISSIONS,
        "plan": {
            "id": "0feeeeeeeeeeeeeeeeeeeeeeeeeeeeee",
            "name": "Free Website",
            "price": 0,
            "currency": "USD",
            "frequency": "",
            "is_subscribed": False,
            "can_subscribe": False,
            "legacy_id": "free",
            "legacy_discount": False,
            "externally_managed": False,
        },
    }


def _list(call: ApiRequest) -> ApiResponse:
    if not call.allowed(READ_ZONES):
        raise CloudflareError(
            403, 0, "The token requires permission 'com.cloudflare.api.account.zone.list' to list zones"
        )
    with call.backend.store.transaction() as db:
        rows = db.execute("SELECT * FROM zones ORDER BY name").fetchall()
    name, status = call.query.get("name"), call.query.get("status", "active")
    rows = [row for row in rows if name in (None, row["name"]) and status == "active"]
    return paged(call, rows, _json, default=20, most=50)


def _get(call: ApiRequest) -> ApiResponse:
    if not call.allowed(READ_ZONES):
        raise CloudflareError(403, 9109, "Unauthorized to access requested resource")
    with call.backend.store.transaction() as db:
        return result(_json(existing(call, db)))


ROUTES: Routes = {("GET", "/zones"): _list, ("GET", "/zones/{zone}"): _get}
