"""The mirror: release binaries under upstream's paths, a catalog of their digests, and container images."""

from __future__ import annotations

from lab.mirror.publishing import CATALOG, digests, publish
from lab.mirror.serving import app
from lab.mirror.upstream_registries import Registries

__all__ = ["CATALOG", "Registries", "app", "digests", "publish"]
