"""Pinned releases: the source of each file, and its digest (data in assets/releases.yaml)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import yaml

from model import paths
from model.assets import read

ARCHITECTURE = "amd64"
"""Architecture of all droplet sizes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Download:
    """A release file: `sha256` is in hex."""

    url: str
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalog:
    """Component → version → file → {url with {arch}, sha256 by architecture}."""

    components: Mapping[str, Mapping[str, Mapping[str, Any]]]

    def versions(self, component: str) -> tuple[str, ...]:
        """The versions that can be installed, oldest first."""
        return tuple(sorted(self.components[component], key=lambda version: tuple(map(int, version.split(".")))))

    def download(
        self,
        component: str,
        version: str,
        file: str,
        *,
        mirror: str | None = None,
        digests: Mapping[str, Mapping[str, Mapping[str, str]]] | None = None,
    ) -> Download:
        """A file of a release, from upstream or from a mirror that has upstream's paths under upstream's host names.

        `digests` (file → version → architecture) replace upstream's if a mirror serves its own builds.
        """
        entry = self.components[component][version][file]
        url = str(entry["url"]).format(arch=ARCHITECTURE)
        own = (digests or {}).get(file, {}).get(version, {}).get(ARCHITECTURE)
        if mirror is not None:
            url = f"{mirror.rstrip('/')}/{url.removeprefix('https://')}"
        return Download(url=url, sha256=own or str(entry["sha256"][ARCHITECTURE]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Releases:
    """The catalog, the versions that the stack wants, and its mirror, if it has one."""

    catalog: Catalog
    versions: Mapping[str, str]
    """Component → version."""
    mirror: str | None = None
    digests: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)

    def download(self, component: str, file: str) -> Download:
        """A file of the component's wanted version."""
        return self.catalog.download(
            component, self.versions[component], file, mirror=self.mirror, digests=self.digests
        )

    def directory(self, component: str) -> str:
        """Its directory on a host."""
        return paths.installed(component, self.versions[component])


@cache
def load() -> Catalog:
    """The catalog that comes with Triplane."""
    return Catalog(components=yaml.safe_load(read("releases.yaml")))
