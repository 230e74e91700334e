"""Files that are either complete or do not exist."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write(path: Path, text: str, *, mode: int = 0o600) -> bool:
    """Replace a file in one step; meanwhile others cannot read it. False if it already has this content."""
    if path.exists() and path.read_text() == text and path.stat().st_mode & 0o777 == mode:
        return False
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return True
