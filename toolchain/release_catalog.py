"""Structure of a release catalog: component → version → file → its address and its digest per architecture."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_DIGEST = re.compile(r"[0-9a-f]{64}")


class CatalogError(ValueError):
    """A mistake in a catalog; the message names the file and the place in it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One file of a release."""

    url: str
    """Upstream's URL, with {arch} in it."""
    sha256: Mapping[str, str]
    """Architecture → digest."""
    built_from: str = ""
    """Source of a file that does not come from upstream."""


Catalog = Mapping[str, Mapping[str, Mapping[str, Entry]]]


def load(file: Path) -> Catalog:
    """Read a catalog and check the format of every digest."""
    try:
        data = yaml.safe_load(file.read_text()) or {}
        return {
            component: {
                str(version): {
                    name: _entry(entry, f"{file}: {component} {version} {name}") for name, entry in files.items()
                }
                for version, files in versions.items()
            }
            for component, versions in data.items()
        }
    except (yaml.YAMLError, AttributeError) as problem:
        raise CatalogError(f"{file} is not a catalog (component → version → file): {problem}") from problem


def dump(catalog: Catalog, file: Path) -> None:
    """Write a catalog, all at once."""
    data = {
        component: {
            version: {name: _plain(entry) for name, entry in sorted(files.items())}
            for version, files in sorted(versions.items())
        }
        for component, versions in sorted(catalog.items())
    }
    with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=f".{file.name}-", delete=False) as new:
        yaml.safe_dump(data, new, sort_keys=False, width=120)
    Path(new.name).chmod(0o644)
    Path(new.name).replace(file)


def _entry(data: Any, place: str) -> Entry:  # noqa: ANN401 - as YAML has it
    try:
        entry = Entry(url=data["url"], sha256=dict(data["sha256"]), built_from=data.get("built_from", ""))
    except (KeyError, TypeError, ValueError) as problem:
        raise CatalogError(f"{place} needs a url and a sha256 per architecture") from problem
    for arch, value in entry.sha256.items():
        if not (isinstance(value, str) and _DIGEST.fullmatch(value)):
            raise CatalogError(f"{place}: the digest for {arch} is not 64 hexadecimal digits")
    return entry


def _plain(entry: Entry) -> dict[str, Any]:
    plain: dict[str, Any] = {"url": entry.url, "sha256": dict(entry.sha256)}
    return plain | ({"built_from": entry.built_from} if entry.built_from else {})
