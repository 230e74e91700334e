"""Building of an image: its layers, its configuration, its manifest (OCI image specification 1.1)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lab.oci import layers
from lab.oci.layers import Content, Layer
from lab.oci.store import Store

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_RECIPE = 1
"""Part of every image's key: raise it when the same recipe gives another result than before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """Recipe of an image, and its upstream name."""

    repository: str
    """With the registry's host name: `registry.k8s.io/pause`."""
    tag: str
    arch: str
    layers: tuple[tuple[Content, ...], ...]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...] = ()
    user: str = ""
    environment: Mapping[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    )

    @property
    def key(self) -> str:
        """Digest of everything that changes the result."""
        plain = [_RECIPE, [[_plain(content) for content in layer] for layer in self.layers], self._config]
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

    @property
    def _config(self) -> dict[str, Any]:
        config = {
            "Env": [f"{name}={value}" for name, value in self.environment.items()],
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.command),
            "User": self.user,
            "WorkingDir": "/",
        }
        return {
            "architecture": self.arch,
            "os": "linux",
            "config": {key: value for key, value in config.items() if value},
        }

    def config(self, written: list[Layer]) -> dict[str, Any]:
        """Return the image's configuration. It has no dates: with dates, each build would be another image."""
        return self._config | {
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.diff_id}" for layer in written]}
        }


def build(image: Image, store: Store) -> None:
    """Build an image into the store, unless it is already there."""
    with store.locked():
        if not store.has_made(image.repository, image.tag, image.key):
            store.name(image.repository, image.tag, _build(image, store), image.key)


def _build(image: Image, store: Store) -> str:
    written = []
    for contents in image.layers:
        with store.draft() as draft:
            layer = layers.write(draft, contents)
            store.keep(draft, layer.digest)
        written.append(layer)
    config = _json(image.config(written))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": f"sha256:{store.add(config)}", "size": len(config)},
        "layers": [{"mediaType": LAYER, "digest": f"sha256:{layer.digest}", "size": layer.size} for layer in written],
    }
    return store.add(_json(manifest))


def _json(content: object) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _plain(content: Content) -> dict[str, Any]:
    """Describe a content without the path of its source on this machine, which makes no difference."""
    return {"kind": type(content).__name__, **asdict(content), "source": None}
