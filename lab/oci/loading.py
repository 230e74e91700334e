"""Bringing a user's own images into the lab's registry from an archive, with no network."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lab.oci import names, saved
from lab.oci.names import ImageError, Name
from lab.oci.stores import Stores

_STAGING = ".staging-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """An image that has been loaded under one of its names."""

    name: Name
    digest: str
    """Digest of its manifest or index, in hex."""
    size: int
    """Bytes of its blobs."""
    before: str | None
    """The digest, in hex, of the image that the tag named until now."""


def load(
    stream: BufferedReader[Any], stores: Stores, *, name: str | None = None, on_wait: Callable[[], None] = lambda: None
) -> list[Loaded]:
    """Load all images of an archive, or none of them; `name` replaces the name of its only image.

    Errors: `ImageError`, for what is wrong with the archive, an image in it or its name.
    """
    store = stores.loaded
    with store.locked(on_wait):
        for leftover in store.directory.glob(f"{_STAGING}*"):  # of a killed process: this one holds the lock
            shutil.rmtree(leftover)
        try:
            with TemporaryDirectory(dir=store.directory, prefix=_STAGING) as folder:
                found = saved.images(saved.unpack(stream, Path(folder)))
                wanted = [(each, target) for each in found for target in _names(each, found, name)]
                for _, target in wanted:
                    _refuse_the_clusters(target, stores)
                for each in found:
                    for digest, path in each.blobs.items():
                        store.keep(path, digest)
                loaded = []
                for each, target in wanted:
                    before = store.digest(target.repository, target.tag)
                    store.name(target.repository, target.tag, each.digest)
                    size = store.size(each.digest)
                    loaded.append(Loaded(name=target, digest=each.digest, size=size, before=before))
        except OSError as problem:
            if problem.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise ImageError(
                    f"there is no room for it in {store.directory}: free some and load it again"
                ) from problem
            raise
        finally:
            store.sweep()
    return loaded


def remove(text: str, stores: Stores, *, on_wait: Callable[[], None] = lambda: None) -> Name:
    """Remove a loaded image's tag, and the blobs that only this tag uses. `ImageError` if there is no tag."""
    name = names.parse(text)
    _refuse_the_clusters(name, stores)
    with stores.loaded.locked(on_wait):
        if not stores.loaded.digest(name.repository, name.tag):
            raise ImageError(f"{name} is not loaded: `./triplane image list` shows what is")
        stores.loaded.forget(name.repository, name.tag)
        stores.loaded.sweep()
    return name


def _names(found: saved.Found, everything: list[saved.Found], chosen: str | None) -> list[Name]:
    if chosen:
        if len({each.digest for each in everything}) > 1:
            raise ImageError(f"--name {chosen}: the archive has several images, and each needs a name of its own")
        return [names.parse(chosen)]
    if not found.names:
        raise ImageError("it has an image without a name: say which with --name NAME:TAG")
    return [names.parse(text) for text in found.names]


def _refuse_the_clusters(name: Name, stores: Stores) -> None:
    if stores.built.digest(name.repository, name.tag):
        raise ImageError(f"{name} is an image of the cluster itself: give yours another name or tag")
