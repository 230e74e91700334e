"""Store of images: blobs by digest, and names for them. One writer at a time, any number of readers."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.oci.names import REPOSITORY, TAG
from toolchain.locks import locked

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")

MAX_MANIFEST = 4 * 1024 * 1024
"""Bytes of the largest manifest; what the OCI distribution specification has registries accept at least."""

_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest, or an index of manifests, as a registry serves it."""

    file: Path
    digest: str
    """In hex."""
    media_type: str


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of images. It may be filled later. A repository's name has its registry: `registry.k8s.io/pause`."""

    directory: Path

    @contextmanager
    def locked(self, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Keep other processes from adding to it. Calls `on_wait` if it must wait."""
        self._blobs.mkdir(parents=True, exist_ok=True)
        with locked(self.directory / ".lock", on_wait):
            yield

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """Give a file to write a blob to."""
        with tempfile.NamedTemporaryFile(dir=self._blobs, prefix=".draft-") as file:
            yield Path(file.name)

    def keep(self, draft: Path, digest: str) -> None:
        """Turn a draft into a blob. An existing blob of another size was cut off by a crash, and is replaced."""
        blob = self._blobs / digest
        if not (blob.is_file() and blob.stat().st_size == draft.stat().st_size):
            draft.chmod(0o644)
            new = draft.with_name(f"{draft.name}.kept")
            new.hardlink_to(draft)
            new.replace(blob)

    def add(self, content: bytes) -> str:
        """Add a small blob, and return its digest in hex."""
        digest = hashlib.sha256(content).hexdigest()
        with self.draft() as draft:
            draft.write_bytes(content)
            self.keep(draft, digest)
        return digest

    def name(self, repository: str, tag: str, digest: str, key: str = "") -> None:
        """Point a tag at a manifest, and store the key of its source."""
        place = self._tag(repository, tag)
        place.parent.mkdir(parents=True, exist_ok=True)
        new = place.with_name(f".{place.name}.new")
        new.write_text(json.dumps({"digest": digest, "key": key}))
        new.replace(place)

    def forget(self, repository: str, tag: str) -> None:
        """Remove a tag; the next `sweep` removes its blobs."""
        place = self._tag(repository, tag)
        place.unlink(missing_ok=True)
        for folder in place.parents:
            if folder == self._names or any(folder.iterdir()):
                return
            folder.rmdir()

    def sweep(self) -> None:
        """Remove the blobs that no tag leads to; to be called under the lock."""
        wanted = {part for _, _, digest in self.tags() for part in self.parts(digest)}
        for blob in self._blobs.iterdir():
            if blob.name not in wanted:
                blob.unlink()

    def clear(self) -> None:
        """Remove all names and blobs; a blob that is just being written stays."""
        shutil.rmtree(self._names, ignore_errors=True)
        for blob in self._blobs.glob("[!.]*"):
            blob.unlink(missing_ok=True)

    def tags(self) -> Iterator[tuple[str, str, str]]:
        """Yield each repository, tag and digest in hex, sorted."""
        for place in sorted(self._names.glob("**/_tags/[!.]*")):
            repository = str(place.parent.parent.relative_to(self._names))
            if digest := self.digest(repository, place.name):
                yield repository, place.name, digest

    def parts(self, digest: str) -> set[str]:
        """Return the digests of those blobs of a manifest or an index that exist, its own included."""
        found: set[str] = set()
        todo = [digest]
        while todo:
            blob = self.blob(f"sha256:{todo.pop()}")
            if blob and blob.name not in found:
                found.add(blob.name)
                todo += [part["digest"].removeprefix("sha256:") for part in _parts(read_manifest(blob))]
        return found

    def size(self, digest: str) -> int:
        """Return the bytes of an image's blobs."""
        return sum((self._blobs / part).stat().st_size for part in self.parts(digest))

    def total(self) -> int:
        """Return the bytes of all blobs."""
        return sum(blob.stat().st_size for blob in self._blobs.glob("[!.]*"))

    def has_made(self, repository: str, tag: str, key: str) -> bool:
        """True if the tag's image was made from the same source, and is complete."""
        named = self._named(repository, tag)
        return bool(named and named["key"] == key and self._whole(named["digest"]))

    def digest(self, repository: str, tag: str) -> str | None:
        """Return the digest, in hex, of a tag's manifest or index."""
        named = self._named(repository, tag)
        return named["digest"] if named else None

    def reference(self, repository: str, tag: str) -> str | None:
        """Return a tag's full reference, with its digest."""
        digest = self.digest(repository, tag)
        return f"{repository}:{tag}@sha256:{digest}" if digest else None

    def manifest(self, repository: str, reference: str) -> Manifest | None:
        """Find a manifest by its repository's tag, or by its digest, whatever repository it came with."""
        if TAG.fullmatch(reference) and REPOSITORY.fullmatch(repository):
            reference = f"sha256:{self.digest(repository, reference)}"
        blob = self.blob(reference)
        media_type = media_type_of(read_manifest(blob)) if blob else None
        return Manifest(blob, blob.name, media_type) if blob and media_type else None

    def has(self, repository: str) -> bool:
        """True if there is a repository of this name."""
        return bool(REPOSITORY.fullmatch(repository)) and self._tag(repository, "").is_dir()

    def blob(self, digest: str) -> Path | None:
        """Find a blob by its digest, as `sha256:` and hex digits."""
        found = _DIGEST.fullmatch(digest)
        blob = self._blobs / found[1] if found else None
        return blob if blob and blob.is_file() else None

    def _whole(self, digest: str) -> bool:
        """True if a manifest and all that it names are there."""
        blob = self.blob(f"sha256:{digest}")
        return bool(blob and all(self.blob(part["digest"]) for part in _parts(read_manifest(blob))))

    def _named(self, repository: str, tag: str) -> dict[str, str] | None:
        try:
            return dict(json.loads(self._tag(repository, tag).read_text()))
        except FileNotFoundError:
            return None

    def _tag(self, repository: str, tag: str) -> Path:
        return self._names / repository / "_tags" / tag

    @property
    def _names(self) -> Path:
        return self.directory / "names"

    @property
    def _blobs(self) -> Path:
        return self.directory / "blobs"


def read_manifest(file: Path) -> dict[str, Any]:
    """Read a manifest or an index; empty where a blob is neither."""
    if file.stat().st_size > MAX_MANIFEST:
        return {}
    try:
        content = json.loads(file.read_bytes())
    except ValueError:
        return {}
    return content if isinstance(content, dict) and media_type_of(content) else {}


def media_type_of(manifest: Mapping[str, Any]) -> str | None:
    """Return a manifest's media type, which an OCI manifest need not contain; None if it is not a manifest."""
    if not (isinstance(manifest.get("manifests"), list) or isinstance(manifest.get("layers"), list)):
        return None
    return str(manifest.get("mediaType") or (_INDEX if "manifests" in manifest else _MANIFEST))


def _parts(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a manifest or an index names: configuration and layers, or manifests."""
    config = [manifest["config"]] if "config" in manifest else []
    return [*config, *manifest.get("layers", ()), *manifest.get("manifests", ())]
