"""Serves release binaries under the paths upstream uses, with a catalog of their digests."""

from __future__ import annotations

from lab.mirror.publishing import CATALOG, digests, publish
from lab.mirror.serving import app

__all__ = ["CATALOG", "app", "digests", "publish"]
