"""The lab's two API tokens: made once, kept in a file that only its owner reads."""

from __future__ import annotations

import hmac
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """What clients must show; not for logs."""

    digitalocean: str
    cloudflare: str

    def __repr__(self) -> str:
        return "Tokens(…)"


def load(path: Path) -> Tokens:
    """Read the tokens, or make them where there are none yet."""
    if not path.exists():
        tokens = Tokens(digitalocean=f"dop_v1_{secrets.token_hex(32)}", cloudflare=secrets.token_hex(20))
        # Complete and private from the moment it has its name: another process may be waiting for it.
        draft = path.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            yaml.safe_dump(asdict(tokens), file)
        draft.rename(path)
    return Tokens(**yaml.safe_load(path.read_text()))


def bearer(authorization: str | None) -> str | None:
    """Take the token out of an Authorization header; None where there is no header, empty where it is malformed."""
    if authorization is None:
        return None
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def same(shown: str | None, real: str) -> bool:
    """Compare without telling by the time it took how much was right."""
    return shown is not None and hmac.compare_digest(shown.encode(), real.encode())
