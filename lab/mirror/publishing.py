"""Publishing of built binaries in the layout of upstream's servers: `<directory>/<host>/<path>`, and a catalog."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from lab.archive import pack
from toolchain import release_catalog
from toolchain.build_cache import Build, digest, link
from toolchain.locks import locked
from toolchain.programs import PROGRAMS, Download

CATALOG = "catalog.yaml"


def publish(directory: Path, builds: Iterable[Build]) -> Path:
    """Add the builds that upstream publishes as downloads to a mirror, and return its catalog's path.

    Files that the mirror already has stay, and unchanged files are not written again.
    """
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / CATALOG
    with locked(directory / ".lock"):
        entries = {
            component: {version: dict(files) for version, files in versions.items()}
            for component, versions in (release_catalog.load(file) if file.exists() else {}).items()
        }
        for build in builds:
            for download in PROGRAMS[build.program].downloads:
                files = entries.setdefault(build.program, {}).setdefault(build.version, {})
                known = files[download.file].sha256 if download.file in files else {}
                files[download.file] = _publish(directory, build, download, known)
        release_catalog.dump(entries, file)
    return file


def digests(file: Path) -> dict[str, dict[str, dict[str, str]]]:
    """Read a catalog in the form of the program's settings: file → version → architecture → digest."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for versions in release_catalog.load(file).values():
        for version, files in versions.items():
            for name, entry in files.items():
                found.setdefault(name, {})[version] = dict(entry.sha256)
    return found


def _publish(directory: Path, build: Build, download: Download, known: Mapping[str, str]) -> release_catalog.Entry:
    """Put one download in its place unless it is there, and describe it."""
    address = urlsplit(download.address(build.version, build.arch))
    place = directory / address.netloc / address.path.lstrip("/")
    # Upstream's own file where there is one: its digest is then the one that upstream publishes.
    whole = build.release.get(download.file)
    members = [whole] if whole else [build.path(member) for member in download.members]
    # A published file has the time of the newest binary in it.
    made = max(member.stat().st_mtime_ns for member in members)
    if not (place.exists() and place.stat().st_mtime_ns == made):
        place.parent.mkdir(parents=True, exist_ok=True)
        new = directory / ".new"  # a leftover one is overwritten: this process holds the lock
        new.unlink(missing_ok=True)
        if download.is_archive and not whole:
            pack(new, download.folder or place.name.removesuffix(".tar.gz"), members)
            os.utime(new, ns=(made, made))
        else:
            link(members[0], new)
        new.replace(place)
    sha256 = digest(place) if download.is_archive else build.sha256[download.members[0]]
    return release_catalog.Entry(
        url=download.url.replace("{version}", build.version),
        sha256={**known, build.arch: sha256},
        built_from=build.built_from,
    )
