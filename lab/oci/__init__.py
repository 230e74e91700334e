"""Container images that the lab builds itself or a user brings, and the stores that they are served from."""

from __future__ import annotations

from lab.oci.building import Image, build
from lab.oci.loading import Loaded, load, remove
from lab.oci.names import ImageError, Name
from lab.oci.recipes import TOOLS, publish, references
from lab.oci.store import Store
from lab.oci.stores import Stores

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
