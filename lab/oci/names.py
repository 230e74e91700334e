"""Names of images, as containerd and Docker complete them (distribution/reference, normalize.go)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DOMAIN = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"

# The OCI distribution specification's patterns. None of them lets a path out of its folder.
REGISTRY = re.compile(rf"{_DOMAIN}(?:\.{_DOMAIN})*(?::[0-9]{{1,5}})?")
REPOSITORY = re.compile(rf"{REGISTRY.pattern}(?:/{_PART})+")
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")

DOCKER_HUB = "docker.io"


class ImageError(ValueError):
    """An image, its name or its archive is not usable; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Name:
    """A tag of a repository of a registry."""

    registry: str
    path: str
    tag: str

    @property
    def repository(self) -> str:
        """With the registry: `docker.io/library/web`."""
        return f"{self.registry}/{self.path}"

    @property
    def short(self) -> str:
        """Short form, as people write it: `web:1.0`."""
        path = f"{self.repository}".removeprefix(f"{DOCKER_HUB}/").removeprefix("library/")
        return f"{path}:{self.tag}"

    def __str__(self) -> str:
        """Full form, as containerd writes it: `docker.io/library/web:1.0`."""
        return f"{self.repository}:{self.tag}"


def parse(text: str) -> Name:
    """Complete an image's name: `web` is docker.io/library/web:latest. `ImageError` where it is not a name."""
    if "@" in text:
        raise ImageError(f"{text}: name an image by its tag, without a digest")
    first, slash, rest = text.partition("/")
    is_registry = bool(slash) and (set(".:") & set(first) or first == "localhost" or first != first.lower())
    registry, path = (first, rest) if is_registry else (DOCKER_HUB, text)
    path, _, tag = path.partition(":")
    if registry in {DOCKER_HUB, f"index.{DOCKER_HUB}"}:
        registry, path = DOCKER_HUB, path if "/" in path else f"library/{path}"
    name = Name(registry, path, tag or "latest")
    if not (REPOSITORY.fullmatch(name.repository) and TAG.fullmatch(name.tag)) or text.endswith(":"):
        raise ImageError(f"{text!r} is not an image's name: write web:1.0 or registry.example.com/team/web:1.0")
    return name
