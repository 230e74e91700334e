"""The lab's API tokens: two with all rights, made once, and any number of others with chosen scopes."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from lab.cloud.cloudflare import permissions
from lab.cloud.digitalocean import scopes

SCOPED = "scoped-tokens.yaml"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """Tokens of clients; not for logs."""

    digitalocean: str
    cloudflare: str

    def __repr__(self) -> str:
        return "Tokens(…)"


def load(path: Path) -> Tokens:
    """Read the tokens, or make them where there are none yet."""
    if not path.exists():
        tokens = Tokens(digitalocean=f"dop_v1_{secrets.token_hex(32)}", cloudflare=secrets.token_hex(20))
        _write(path, asdict(tokens))
    return Tokens(**yaml.safe_load(path.read_text()))


class Account(StrEnum):
    """API that a token is for."""

    DIGITALOCEAN = "digitalocean"
    CLOUDFLARE = "cloudflare"


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """Rights of a token: all, or those of its scopes."""

    token: str
    """The token's digest: calls with the same digest share a rate limit."""
    scopes: frozenset[str] | None = None
    """None for all."""

    def has(self, scope: str) -> bool:
        """True if a scope is among them."""
        return self.scopes is None or scope in self.scopes


class Grants:
    """Valid tokens. A file holds the digests of those with scopes; a new one is valid from the next call on."""

    def __init__(self, directory: Path, account: Account, full: str) -> None:
        self._file = directory / SCOPED
        self._account = account
        self._full = full

    def of(self, shown: str | None) -> Grant | None:
        """Find what a token may do; None for one that is not valid."""
        if shown is None:
            return None
        digest = _digest(shown)
        if same(shown, self._full):
            return Grant(token=digest)
        found = _scoped(self._file).get(digest)
        if found is None or found["account"] != self._account:
            return None
        return Grant(token=digest, scopes=frozenset(found["scopes"]))


KNOWN = {Account.DIGITALOCEAN: scopes.ALL, Account.CLOUDFLARE: permissions.ALL}


def grant(directory: Path, account: Account, names: Collection[str]) -> str:
    """Make a token with these scopes and no others, and return it: only its digest is kept.

    Errors: ValueError, naming the scopes that no call asks for.
    """
    unknown = sorted({*names} - KNOWN[account])
    if unknown:
        raise ValueError(f"there is no scope {', '.join(unknown)}: one of {', '.join(sorted(KNOWN[account]))}")
    allowed = {*names, *(implied for name in names for implied in permissions.IMPLIED.get(name, ()))}
    token = {
        Account.DIGITALOCEAN: lambda: f"dop_v1_{secrets.token_hex(32)}",
        Account.CLOUDFLARE: lambda: secrets.token_hex(20),
    }[account]()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    known = _scoped(directory / SCOPED)
    _write(directory / SCOPED, {**known, _digest(token): {"account": str(account), "scopes": sorted(allowed)}})
    return token


def _scoped(path: Path) -> dict[str, Any]:
    try:
        return dict(yaml.safe_load(path.read_text()) or {})
    except FileNotFoundError:
        return {}


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _write(path: Path, content: object) -> None:
    # The file is complete and private before it gets its name: another process may be waiting for it.
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        yaml.safe_dump(content, file)
    draft.rename(path)


def bearer(authorization: str | None) -> str | None:
    """Take the token out of an Authorization header; None where there is no header, empty where it is malformed."""
    if authorization is None:
        return None
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def same(shown: str | None, real: str) -> bool:
    """Compare in constant time, so that the duration does not tell how much was right."""
    return shown is not None and hmac.compare_digest(shown.encode(), real.encode())
