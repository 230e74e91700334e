"""Layers of container images: tar archives that are equal, byte for byte, for the same files."""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from gzip import GzipFile
from pathlib import Path

from lab.archive import compressed

CAPABILITY = "SCHILY.xattr.security.capability"
"""PAX header of a file's capabilities (see capabilities(7), and the OCI image specification's layer.md)."""

_NET_BIND_SERVICE = 10
_REVISION_2_EFFECTIVE = 0x0200_0001


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """A file, from another file or with a text in it."""

    path: str
    """In the image, without the first slash."""
    source: Path | None = None
    digest: str = ""
    """Digest of the source's content."""
    text: str = ""
    mode: int = 0o755
    binds_low_ports: bool = False
    """Set CAP_NET_BIND_SERVICE on the file."""

    def add_to(self, layer: tarfile.TarFile) -> None:
        """Write it."""
        member = tarfile.TarInfo(self.path)
        member.mode = self.mode
        if self.binds_low_ports:
            words = (_REVISION_2_EFFECTIVE, 1 << _NET_BIND_SERVICE, 0, 0, 0)
            member.pax_headers = {CAPABILITY: b"".join(word.to_bytes(4, "little") for word in words).decode()}
        if self.source is None:
            content = self.text.encode()
            member.size = len(content)
            layer.addfile(member, io.BytesIO(content))
            return
        member.size = self.source.stat().st_size
        with self.source.open("rb") as stream:
            layer.addfile(member, stream)


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """An empty folder."""

    path: str
    mode: int = 0o755

    def add_to(self, layer: tarfile.TarFile) -> None:
        """Write it."""
        member = tarfile.TarInfo(self.path)
        member.type, member.mode = tarfile.DIRTYPE, self.mode
        layer.addfile(member)


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A symbolic link."""

    path: str
    target: str

    def add_to(self, layer: tarfile.TarFile) -> None:
        """Write it."""
        member = tarfile.TarInfo(self.path)
        member.type, member.linkname, member.mode = tarfile.SYMTYPE, self.target, 0o777
        layer.addfile(member)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """All of a folder on this machine: its folders, links and plain files, owned by root."""

    source: Path
    digest: str
    """Digest of what decides the folder's content."""
    without: str = r"(?!)"
    """Pattern of paths to leave out, matched from the beginning of a path without its first slash."""

    def add_to(self, layer: tarfile.TarFile) -> None:
        """Write it, sorted."""
        for path in self._paths():
            member = layer.gettarinfo(str(path), str(path.relative_to(self.source)))
            if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
                continue  # the runtime makes devices and sockets
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime = 0
            if member.isfile():
                with path.open("rb") as stream:
                    layer.addfile(member, stream)
            else:
                layer.addfile(member)

    def _paths(self) -> Iterator[Path]:
        excluded = re.compile(self.without)
        for folder, folders, files in os.walk(self.source):
            folders.sort()
            inside = Path(folder).relative_to(self.source)
            folders[:] = [name for name in folders if not excluded.match(str(inside / name))]
            for name in sorted([*folders, *files]):
                if not excluded.match(str(inside / name)):
                    yield Path(folder) / name


Content = File | Folder | Link | Tree
"""Something that is put into a layer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """A layer that has been written."""

    digest: str
    """SHA-256 of the compressed archive, in hex."""
    diff_id: str
    """SHA-256 of the archive itself, in hex."""
    size: int
    """Bytes of the compressed archive."""


def write(target: Path, contents: tuple[Content, ...]) -> Layer:
    """Write a layer's compressed archive to a file."""
    plain = hashlib.sha256()
    with (
        target.open("wb") as raw,
        compressed(raw) as zipped,
        tarfile.open(fileobj=_Hashed(zipped, plain), mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for content in contents:
            content.add_to(tar)
    with target.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Layer(digest=digest, diff_id=plain.hexdigest(), size=target.stat().st_size)


class _Hashed(io.RawIOBase):
    """Writer that passes data on, and takes its digest."""

    def __init__(self, stream: GzipFile, digest: hashlib._Hash) -> None:
        self._stream = stream
        self._digest = digest

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._digest.update(data)
        return self._stream.write(data)
