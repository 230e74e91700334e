"""Archives that are equal, byte for byte, for the same files."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

_LEVEL = 1  # on a local network, a higher level costs more time than it saves


def pack(target: Path, folder: str, files: Iterable[Path]) -> None:
    """Write a tar.gz with the files in one folder, owned by root, executable, and dated 1970."""
    with (
        target.open("wb") as raw,
        compressed(raw) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        top = tarfile.TarInfo(folder)
        top.type, top.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(top)
        for file in sorted(files, key=lambda file: file.name):
            member = tarfile.TarInfo(f"{folder}/{file.name}")
            member.size, member.mode = file.stat().st_size, 0o755
            with file.open("rb") as stream:
                tar.addfile(member, stream)


def compressed(raw: IO[bytes]) -> gzip.GzipFile:
    """Compress the written data, without a date or a name in the header."""
    return gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=raw, mtime=0)
