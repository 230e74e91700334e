"""Image archives of every shape, as Docker, Podman, buildx and skopeo write them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

OCI = "application/vnd.oci.image"
FULL_NAME, OCI_NAME = "io.containerd.image.name", "org.opencontainers.image.ref.name"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def encoded(content: object) -> bytes:
    return json.dumps(content).encode()


def tar(files: Mapping[str, bytes], links: Mapping[str, str] = {}) -> bytes:
    """A plain tar archive; links are symbolic."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o755
            archive.addfile(member, io.BytesIO(content))
        for name, to in links.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, to
            archive.addfile(member)
    return target.getvalue()


def layer(content: str = "hello") -> bytes:
    return tar({"greeting": content.encode()})


def config(*layers: bytes, arch: str = "amd64") -> bytes:
    return encoded(
        {
            "architecture": arch,
            "os": "linux",
            "config": {"Cmd": ["/greeting"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(each)}" for each in layers]},
        }
    )


def saved(*images: tuple[list[str] | None, list[bytes]], arch: str = "amd64", zipped: bool = False) -> dict[str, bytes]:
    """What `docker save` wrote before version 25, and what `podman save` writes."""
    files: dict[str, bytes] = {}
    entries = []
    for tags, layers in images:
        made = config(*layers, arch=arch)
        names = [f"{sha256(each)}/layer.tar" for each in layers]
        files |= {name: gzip.compress(each) if zipped else each for name, each in zip(names, layers, strict=True)}
        files[f"{sha256(made)}.json"] = made
        entries.append({"Config": f"{sha256(made)}.json", "RepoTags": tags, "Layers": names})
    return {**files, "manifest.json": encoded(entries)}


class Layout:
    """An OCI image layout, put together piece by piece."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"oci-layout": encoded({"imageLayoutVersion": "1.0.0"})}
        self.entries: list[dict[str, Any]] = []

    def blob(self, content: bytes, media_type: str, **more: object) -> dict[str, Any]:
        """Add a blob, and return its descriptor."""
        self.files[f"blobs/sha256/{sha256(content)}"] = content
        return {"mediaType": media_type, "digest": f"sha256:{sha256(content)}", "size": len(content), **more}

    def image(self, text: str = "hello", arch: str = "amd64") -> dict[str, Any]:
        """Add a manifest with one compressed layer, and return its descriptor."""
        plain = layer(text)
        manifest = {
            "schemaVersion": 2,
            "config": self.blob(config(plain, arch=arch), f"{OCI}.config.v1+json"),
            "layers": [self.blob(gzip.compress(plain, mtime=0), f"{OCI}.layer.v1.tar+gzip")],
        }
        return self.blob(encoded(manifest), f"{OCI}.manifest.v1+json", platform={"os": "linux", "architecture": arch})

    def index(self, *manifests: dict[str, Any]) -> dict[str, Any]:
        """Add an index of manifests, and return its descriptor."""
        return self.blob(encoded({"schemaVersion": 2, "manifests": manifests}), f"{OCI}.index.v1+json")

    def name(self, descriptor: dict[str, Any], **annotations: str) -> Layout:
        """List an image in the layout's index."""
        self.entries.append({**descriptor, "annotations": annotations})
        return self

    def tar(self) -> bytes:
        return tar({**self.files, "index.json": encoded({"schemaVersion": 2, "manifests": self.entries})})


def layout(name: str = "docker.io/library/web:1.0", text: str = "hello", arch: str = "amd64") -> bytes:
    """A layout with one image."""
    made = Layout()
    return made.name(made.image(text, arch), **{FULL_NAME: name}).tar()


def written(folder: Path, content: bytes, name: str = "web.tar") -> Path:
    file = folder / name
    file.write_bytes(content)
    return file
