"""Where images are kept: blobs by digest, and names that stand for them. Written by one at a time, read by anyone."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.toolchain.store import locked

# The OCI distribution specification's own patterns. Neither lets a path out of its folder.
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of images. It may be filled later."""

    directory: Path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from adding to it."""
        self._blobs.mkdir(parents=True, exist_ok=True)
        with locked(self.directory / ".lock"):
            yield

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """Give a file to write a blob to."""
        with tempfile.NamedTemporaryFile(dir=self._blobs, prefix=".draft-") as file:
            yield Path(file.name)

    def keep(self, draft: Path, digest: str) -> None:
        """Make a draft a blob."""
        blob = self._blobs / digest
        if not blob.exists():
            draft.chmod(0o644)
            blob.hardlink_to(draft)

    def add(self, content: bytes) -> str:
        """Add a small blob, and return its digest in hex."""
        digest = hashlib.sha256(content).hexdigest()
        with self.draft() as draft:
            draft.write_bytes(content)
            self.keep(draft, digest)
        return digest

    def name(self, repository: str, tag: str, digest: str, key: str) -> None:
        """Have a tag stand for a manifest, and remember by its key what it was made of."""
        place = self._tag(_without_host(repository), tag)
        place.parent.mkdir(parents=True, exist_ok=True)
        new = place.with_name(f".{place.name}.new")
        new.write_text(json.dumps({"digest": digest, "key": key}))
        new.replace(place)

    def has_made(self, repository: str, tag: str, key: str) -> bool:
        """Whether what a tag stands for was made of the same, and is whole."""
        named = self._named(_without_host(repository), tag)
        return bool(named and named["key"] == key and self._whole(named["digest"]))

    def reference(self, repository: str, tag: str) -> str | None:
        """Return a tag's full reference, with its digest."""
        named = self._named(_without_host(repository), tag)
        return f"{repository}:{tag}@sha256:{named['digest']}" if named else None

    def manifest(self, path: str, reference: str) -> tuple[Path, str] | None:
        """Find a manifest by its tag or its digest, and return its file and its digest in hex."""
        if not self.has(path):
            return None
        if not reference.startswith("sha256:"):
            named = self._named(path, reference) if _TAG.fullmatch(reference) else None
            reference = f"sha256:{named['digest']}" if named else ""
        blob = self.blob(reference)
        return (blob, blob.name) if blob else None

    def has(self, path: str) -> bool:
        """Whether there is a repository of this name (without a registry's host name)."""
        return bool(_PATH.fullmatch(path)) and self._tag(path, "").is_dir()

    def blob(self, digest: str) -> Path | None:
        """Find a blob by its digest, as `sha256:` and hex digits."""
        found = _DIGEST.fullmatch(digest)
        blob = self._blobs / found[1] if found else None
        return blob if blob and blob.is_file() else None

    def _whole(self, digest: str) -> bool:
        """Whether a manifest and all that it names are there."""
        blob = self.blob(f"sha256:{digest}")
        if not blob:
            return False
        manifest = json.loads(blob.read_text())
        return all(self.blob(part["digest"]) for part in (manifest["config"], *manifest["layers"]))

    def _named(self, path: str, tag: str) -> dict[str, str] | None:
        try:
            return dict(json.loads(self._tag(path, tag).read_text()))
        except FileNotFoundError:
            return None

    def _tag(self, path: str, tag: str) -> Path:
        return self.directory / "repositories" / path / "_tags" / tag

    @property
    def _blobs(self) -> Path:
        return self.directory / "blobs"


def _without_host(repository: str) -> str:
    """A registry's paths do not carry its host name."""
    return repository.partition("/")[2]
