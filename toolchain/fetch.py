"""Downloads of upstream's releases: their files, the digests of these files, and the binaries in them."""

from __future__ import annotations

import json
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from toolchain.build_cache import link
from toolchain.download import download, text
from toolchain.errors import DigestError, ReleaseError, UnreachableError
from toolchain.programs import Download, Program
from toolchain.progress import Step, Tell
from toolchain.upstream import Limits, Upstream, host

_MB = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """A release that was downloaded."""

    files: Mapping[str, Path]
    """Upstream's own files, by the names of the program's downloads."""
    source: str
    """Source of the files, as text."""


def addresses(program: Program, version: str, arch: str) -> list[str]:
    """List upstream's addresses for the files of a release, and for digests that are not pinned here."""
    urls = (url for one in program.downloads for url in (one.address(version, arch), one.list_address(version, arch)))
    return [url for url in urls if url]


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """One version of a program, as upstream publishes it for one architecture."""

    program: Program
    version: str
    arch: str
    upstream: Upstream
    store: Path
    """Cache of upstream's own files, each in a folder named by its digest."""

    def take(self, folder: Path, tell: Tell) -> Fetched:
        """Download the release's files into the store, and put its binaries into a folder.

        Raises DigestError for a file that is not the pinned one, and ReleaseError for every other problem.
        """
        urls = addresses(self.program, self.version, self.arch)
        self.upstream.probe(urls)
        for url in urls:
            if refusal := self.upstream.refusal(url):
                raise ReleaseError(f"{host(self.upstream.address(url))}: {refusal}")
        files = {one.file: self._have(one, tell) for one in self.program.downloads}
        for one in self.program.downloads:
            _take(one, files[one.file], folder)
        first = self.upstream.address(self._url(self.program.downloads[0]))
        return Fetched(files=files, source=f"upstream's release, {first}")

    def _url(self, one: Download) -> str:
        return one.address(self.version, self.arch)

    def _have(self, one: Download, tell: Tell) -> Path:
        """Download one file."""
        url, upstream = self._url(one), self.upstream
        tell(Step.FETCHING, detail=one.file)
        try:
            sha256 = self._digest(one)
            target = self.store / sha256 / _name(url)
            told = _Megabytes(tell, one.file)
            download(upstream.address(url), target, sha256, limits=upstream.limits, told=told)
        except UnreachableError as problem:
            upstream.give_up(url, str(problem))
            raise
        return target

    def _digest(self, one: Download) -> str:
        """Return the pinned digest, or the one in upstream's own list, which must not change afterwards."""
        entry = self.upstream.catalog.get(self.program.name, {}).get(self.version, {}).get(one.file)
        if entry and self.arch in entry.sha256:
            return entry.sha256[self.arch]
        if not one.checksums:
            raise ReleaseError(f"no digest of {one.file} {self.version} for {self.arch} is pinned")
        url = self._url(one)
        listed = self.upstream.address(one.list_address(self.version, self.arch))
        return _as_before(self.store / "first-use.json", url, _listed(listed, _name(url), self.upstream.limits))


def _name(url: str) -> str:
    return url.rsplit("/", 1)[1]


def _listed(address: str, name: str, limits: Limits) -> str:
    """Look up a file's digest in a list in sha256sum's format."""
    lines = (line.split() for line in text(address, limits).splitlines())
    pairs = ((line[0].lower(), line[1].lstrip("*").rsplit("/", 1)[-1]) for line in lines if len(line) == 2)
    found = next((sha256 for sha256, file in pairs if file == name), "")
    if len(found) != 64 or not set(found) <= set("0123456789abcdef"):
        raise ReleaseError(f"{address}: it has no SHA-256 of {name}")
    return found


def _as_before(file: Path, url: str, sha256: str) -> str:
    """Remember the first digest in upstream's list. Raises DigestError if the list has another one later."""
    known = json.loads(file.read_text()) if file.exists() else {}
    if known.setdefault(url, sha256) != sha256:
        raise DigestError(f"{url} had the SHA-256 {known[url]} before, and upstream's list says {sha256} now")
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.new")
    draft.write_text(json.dumps(known, indent=2) + "\n")
    draft.replace(file)
    return sha256


class _Megabytes:
    """Reports a download's progress after each megabyte."""

    def __init__(self, tell: Tell, file: str) -> None:
        self._tell, self._file, self._last = tell, file, -1

    def __call__(self, done: int, total: int) -> None:
        if done // _MB != self._last:
            self._last = done // _MB
            self._tell(Step.FETCHING, self._last, -(-total // _MB), self._file)


def _take(one: Download, file: Path, folder: Path) -> None:
    """Put the binaries of a file into the folder."""
    if not one.is_archive:
        link(file, folder / one.members[0])
        return
    try:
        for name, content in _members(file, frozenset(one.members)):
            (folder / name).write_bytes(content)
    except (tarfile.TarError, EOFError, zlib.error) as problem:
        raise ReleaseError(f"{file}: the archive cannot be read ({problem})") from problem
    missing = set(one.members) - {found.name for found in folder.iterdir()}
    if missing:
        raise ReleaseError(f"{file}: the archive has no {', '.join(sorted(missing))}")


def _members(archive: Path, wanted: frozenset[str]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive) as tar:
        for member in tar:
            name = Path(member.name).name
            source = tar.extractfile(member) if name in wanted and member.isfile() else None
            if source:
                yield name, source.read()
