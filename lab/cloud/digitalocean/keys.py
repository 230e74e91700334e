"""SSH keys of the account."""

from __future__ import annotations

import base64
import binascii
import hashlib
import sqlite3
from typing import Any

from pydantic import BaseModel, Field

from lab.cloud.errors import not_found, unprocessable
from lab.cloud.messages import ApiRequest, ApiResponse, Routes
from lab.cloud.paging import paged

TYPES = (
    "ssh-rsa",
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)


class NewKey(BaseModel):
    """Body of POST /v2/account/keys."""

    name: str = Field(min_length=1)
    public_key: str


class KeyName(BaseModel):
    """Body of PUT /v2/account/keys/ID."""

    name: str = Field(min_length=1)


def fingerprint(public_key: str) -> str:
    """Compute the MD5 fingerprint that identifies a key at DigitalOcean; 422 if the text is not a public key."""
    kind, _, rest = public_key.strip().partition(" ")
    try:
        blob = base64.b64decode(rest.split(" ")[0], validate=True)
    except binascii.Error:
        blob = b""
    # The blob repeats its type, after the type's length; a private or truncated key does not.
    length = int.from_bytes(blob[:4], "big")
    if kind not in TYPES or "\n" in public_key.strip() or blob[4 : 4 + length] != kind.encode():
        raise unprocessable("Key invalid: public_key must be one line, `type base64 [comment]`, as in an id_*.pub file")
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def find(db: sqlite3.Connection, reference: str | int) -> sqlite3.Row | None:
    """Find a key by id or fingerprint."""
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM ssh_keys WHERE CAST(id AS TEXT) = :key OR fingerprint = :key", {"key": str(reference)}
    ).fetchone()
    return row


def _json(row: sqlite3.Row) -> dict[str, Any]:
    return {name: row[name] for name in ("id", "fingerprint", "public_key", "name")}


def _existing(call: ApiRequest, db: sqlite3.Connection) -> sqlite3.Row:
    row = find(db, call.path["key"])
    if row is None:
        raise not_found()
    return row


def _list(call: ApiRequest) -> ApiResponse:
    with call.backend.store.transaction() as db:
        return paged(call, "ssh_keys", db.execute("SELECT * FROM ssh_keys ORDER BY id").fetchall(), _json)


def _create(call: ApiRequest) -> ApiResponse:
    new = call.parse(NewKey)
    mark = fingerprint(new.public_key)
    with call.backend.store.transaction() as db:
        if find(db, mark):
            raise unprocessable("SSH Key is already in use on your account")
        db.execute(
            "INSERT INTO ssh_keys (name, public_key, fingerprint) VALUES (?, ?, ?)",
            (new.name, new.public_key.strip(), mark),
        )
        row = find(db, mark)
        assert row
        return ApiResponse(status=201, body={"ssh_key": _json(row)})


def _get(call: ApiRequest) -> ApiResponse:
    with call.backend.store.transaction() as db:
        return ApiResponse(body={"ssh_key": _json(_existing(call, db))})


def _rename(call: ApiRequest) -> ApiResponse:
    name = call.parse(KeyName).name
    with call.backend.store.transaction() as db:
        row = _existing(call, db)
        db.execute("UPDATE ssh_keys SET name = ? WHERE id = ?", (name, row["id"]))
        return ApiResponse(body={"ssh_key": _json(_existing(call, db))})


def _delete(call: ApiRequest) -> ApiResponse:
    with call.backend.store.transaction() as db:
        db.execute("DELETE FROM ssh_keys WHERE id = ?", (_existing(call, db)["id"],))
    return ApiResponse(status=204)


ROUTES: Routes = {
    ("GET", "/v2/account/keys"): _list,
    ("POST", "/v2/account/keys"): _create,
    ("GET", "/v2/account/keys/{key}"): _get,
    ("PUT", "/v2/account/keys/{key}"): _rename,
    ("DELETE", "/v2/account/keys/{key}"): _delete,
}
