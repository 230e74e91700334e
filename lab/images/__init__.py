"""Container images that the lab builds itself or a user brings, and the stores that they are served from."""

from __future__ import annotations

from lab.images.building import Image, build
from lab.images.loading import Loaded, load, remove
from lab.images.names import ImageError, Name
from lab.images.recipes import TOOLS, publish, references
from lab.images.store import Store
from lab.images.stores import Stores

__all__ = [
    "TOOLS",
    "Image",
    "ImageError",
    "Loaded",
    "Name",
    "Store",
    "Stores",
    "build",
    "load",
    "publish",
    "references",
    "remove",
]
