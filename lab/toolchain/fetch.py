"""Taking upstream's release where its servers can be reached; opt-in, since most tests run where they cannot."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path
from typing import Protocol

import httpx

from lab.catalog import Catalog, Entry
from lab.toolchain.errors import ToolchainError
from lab.toolchain.programs import Download, Program
from lab.toolchain.progress import Step

_PROBE_SECONDS = 3.0
_STALL_SECONDS = 30.0
_PLAIN = {"Accept-Encoding": "identity"}  # the digest is of the file as it is published


class Tell(Protocol):
    """Reports a step of the build that is under way."""

    def __call__(self, step: Step, done: int = 0, total: int = 0, detail: str = "") -> None:
        """How far the step is."""


def fetch(program: Program, version: str, *, arch: str, upstream: Catalog, folder: Path, tell: Tell) -> str | None:
    """Download a release's binaries into a folder and say where they are from; None where that is not possible.

    A file with another digest than the catalog's is an error: that is no reason to look elsewhere.
    """
    entries = upstream.get(program.name, {}).get(version, {})
    wanted = [(download, entries[download.file]) for download in program.downloads if download.file in entries]
    covered = {member for download, entry in wanted if arch in entry.sha256 for member in download.members}
    if covered != set(program.binaries):
        return None
    try:
        with httpx.Client(follow_redirects=True, timeout=_PROBE_SECONDS) as client:
            tell(Step.FETCHING, detail="trying upstream's server")
            client.head(_address(wanted[0][1], arch)).raise_for_status()
        with httpx.Client(follow_redirects=True, timeout=_STALL_SECONDS) as client:
            for number, (download, entry) in enumerate(wanted, 1):
                tell(Step.FETCHING, number, len(wanted), download.file)
                _take(client, download, entry, arch, folder)
    except httpx.HTTPError as problem:
        for partial in folder.iterdir():
            partial.unlink()
        tell(Step.FETCHING, detail=f"not possible ({type(problem).__name__}), so it is built")
        return None
    return f"upstream's release, {_address(wanted[0][1], arch)}"


def _address(entry: Entry, arch: str) -> str:
    return entry.url.format(arch=arch)


def _take(client: httpx.Client, download: Download, entry: Entry, arch: str, folder: Path) -> None:
    """Download one file, check it, and leave its binaries in the folder."""
    address = _address(entry, arch)
    target = folder / f"{download.file}.download"
    digest = hashlib.sha256()
    with client.stream("GET", address, headers=_PLAIN) as response, target.open("wb") as stream:
        response.raise_for_status()
        for chunk in response.iter_bytes():
            digest.update(chunk)
            stream.write(chunk)
    if digest.hexdigest() != entry.sha256[arch]:
        raise ToolchainError(
            f"{address} has the SHA-256 {digest.hexdigest()}, but {entry.sha256[arch]} is pinned.\n"
            "It is not used. If a proxy stands in between, check it; else unset TRIPLANE_FETCH to build from source."
        )
    if download.is_archive:
        _unpack(target, download, folder)
        target.unlink()
    else:
        target.rename(folder / download.members[0])


def _unpack(archive: Path, download: Download, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar:
            name = Path(member.name).name
            source = tar.extractfile(member) if name in download.members and member.isfile() else None
            if source:
                (folder / name).write_bytes(source.read())
    missing = set(download.members) - {file.name for file in folder.iterdir()}
    if missing:
        raise ToolchainError(f"{download.file}: the downloaded archive has no {', '.join(sorted(missing))}.")
