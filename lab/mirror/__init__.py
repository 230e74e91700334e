"""Serves release binaries under the paths upstream uses, with a catalog of their digests, and container images."""

from __future__ import annotations

from lab.mirror.publishing import CATALOG, digests, publish
from lab.mirror.registries import Registries
from lab.mirror.serving import app

__all__ = ["CATALOG", "Registries", "app", "digests", "publish"]
