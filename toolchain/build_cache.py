"""Cache of finished binaries: `<cache>/bin/<program>/<version>/<arch>/`, outside any checkout."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from toolchain.errors import ToolchainError
from toolchain.locks import locked

_STAMP = ".build.json"
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def host_arch() -> str:
    """Return this machine's architecture, with the name that Go and the releases use."""
    machine = platform.machine().lower()
    if machine not in _ARCHITECTURES:
        raise ToolchainError(f"Nothing is released for {machine} machines; use an x86_64 or arm64 one.")
    return _ARCHITECTURES[machine]


class Origin(StrEnum):
    """Origin of binaries."""

    SOURCE = "built"
    RELEASE = "released"


def cache_directory() -> Path:
    """Directory of files that take long to make and outlive a checkout: `$TRIPLANE_CACHE`, else the user's cache."""
    if chosen := os.environ.get("TRIPLANE_CACHE"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "triplane"


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """The binaries of one version of one program, and their origin."""

    program: str
    version: str
    arch: str
    directory: Path
    sha256: Mapping[str, str]
    """File → digest."""
    built_from: str
    origin: Origin = Origin.SOURCE
    release: Mapping[str, Path] = field(default_factory=dict)
    """Upstream's own files, by the names of the program's downloads; empty if it was built."""

    def path(self, file: str) -> Path:
        """One of its files."""
        if file not in self.sha256:
            raise KeyError(f"{self.program} {self.version} has no {file}, but {', '.join(self.sha256)}")
        return self.directory / file


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """The place of one build in the cache, filled or empty."""

    cache: Path
    program: str
    version: str
    arch: str
    recipes: Mapping[Origin, str]
    """Digest of everything that decides the content; a slot from another recipe counts as empty."""

    @property
    def directory(self) -> Path:
        """Directory of its files."""
        return self._parent / self.arch

    @property
    def _parent(self) -> Path:
        return self.cache / "bin" / self.program / self.version

    def read(self) -> Build | None:
        """Return the build in it, if it is complete and from this recipe."""
        try:
            stamp = json.loads((self.directory / _STAMP).read_text())
            sizes = {file: (self.directory / file).stat().st_size for file in stamp["files"]}
            release = {file: self.cache / path for file, path in stamp.get("release", {}).items()}
            origin = next(origin for origin, recipe in self.recipes.items() if recipe == stamp["recipe"])
        except (OSError, ValueError, KeyError, StopIteration):
            return None
        if not all(file.exists() for file in release.values()) or sizes != {
            file: entry["size"] for file, entry in stamp["files"].items()
        }:
            return None
        return Build(
            program=self.program,
            version=self.version,
            arch=self.arch,
            directory=self.directory,
            sha256={file: entry["sha256"] for file, entry in stamp["files"].items()},
            built_from=stamp["built_from"],
            origin=origin,
            release=release,
        )

    def write(self, staging: Path, built_from: str, release: Mapping[str, Path] | None = None) -> Build:
        """Move in the files of a staging folder, all at once; a reader sees either the old ones or the new ones.

        With `release`, the binaries are upstream's, from these files in the cache.
        """
        recipe = self.recipes[Origin.SOURCE if release is None else Origin.RELEASE]
        kept = {file: str(path.relative_to(self.cache)) for file, path in (release or {}).items()}
        files = {}
        for file in sorted(staging.iterdir()):
            file.chmod(0o755)
            files[file.name] = {"sha256": digest(file), "size": file.stat().st_size}
        stamp = {"recipe": recipe, "built_from": built_from, "files": files, "release": kept}
        (staging / _STAMP).write_text(json.dumps(stamp, indent=2) + "\n")
        staging.chmod(0o755)
        if self.directory.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{self.arch}-", dir=self._parent))
            self.directory.rename(old)
            staging.rename(self.directory)
            shutil.rmtree(old)
        else:
            staging.rename(self.directory)
        build = self.read()
        assert build
        return build

    @contextmanager
    def locked(self, on_wait: Callable[[], None]) -> Iterator[None]:
        """Lock the slot, so that no other process fills it; `on_wait` is called once if another one has the lock."""
        self._parent.mkdir(parents=True, exist_ok=True)
        with locked(self._parent / f".{self.arch}.lock", on_wait):
            yield

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Make a folder to build in, on the slot's file system; use it only under the lock."""
        for leftover in self._parent.glob(f".{self.arch}-*"):  # of a process that was killed: this one has the lock
            shutil.rmtree(leftover)
        folder = Path(tempfile.mkdtemp(prefix=f".{self.arch}-", dir=self._parent))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def link(source: Path, target: Path) -> None:
    """Put a file in a second place, without a second copy if the file system allows it."""
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)


def digest(file: Path) -> str:
    """Return a file's SHA-256."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
