"""Container images that the lab builds itself, out of the toolchain's binaries, and a store to serve them from."""

from __future__ import annotations

from lab.images.building import Image, build
from lab.images.recipes import TOOLS, publish, references
from lab.images.store import Store

__all__ = ["TOOLS", "Image", "Store", "build", "publish", "references"]
