"""`./triplane image`: images that pods can run beside those of public registries."""

from __future__ import annotations

import io
import json as encoding
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.filesize import decimal
from rich.table import Table

from lab import oci
from lab.oci import ImageError, Loaded, Stores
from launcher.context import Context
from launcher.errors import InterruptedByUserError, LauncherError, MistakeError
from launcher.report import Progress, console

STANDARD_INPUT = "-"

_LARGE = 100_000_000
"""Bytes; for files of this size or more, the progress of reading is shown."""


def load(context: Context, file: str, name: str | None) -> None:
    """Load an archive's images, and print the names that pods may use for them."""
    label = "standard input" if file == STANDARD_INPUT else file
    progress = context.report.progress()
    try:
        with progress.shown(), _opened(file, progress) as stream:
            loaded = oci.load(stream, _stores(context), name=name, on_wait=lambda: _waiting(context))
    except ImageError as error:
        raise MistakeError(f"{label}: {error}") from error
    except OSError as error:
        raise LauncherError(f"{label}: {error.strerror}") from error
    except KeyboardInterrupt:
        raise InterruptedByUserError(f"{label}: interrupted, and nothing of it is loaded") from None
    for image in loaded:
        typer.echo(f"loaded {image.name} ({decimal(image.size)}){_change(image)}")
    if any(image.before not in {None, image.digest} for image in loaded):
        context.report.say(
            "a node that has pulled the tag before keeps the old image, unless the pod says `imagePullPolicy: Always` "
            "(the default for :latest); a new tag for each build is simpler"
        )


def show(context: Context, *, json: bool) -> None:
    """List the images of the lab's registry."""
    stores = _stores(context)
    rows = [
        {"image": f"{repository}:{tag}", "digest": f"sha256:{digest}", "size": store.size(digest), "from": source}
        for source, store in (("loaded", stores.loaded), ("pulled", stores.pulled), ("cluster", stores.built))
        for repository, tag, digest in store.tags()
    ]
    if json:
        typer.echo(encoding.dumps(rows, indent=1))
        return
    table = Table("IMAGE", "DIGEST", "SIZE", "FROM", box=None, pad_edge=False)
    for row in rows:
        digest = str(row["digest"]).removeprefix("sha256:")[:12]
        table.add_row(str(row["image"]), digest, decimal(int(str(row["size"]))), str(row["from"]))
    console().print(
        table if rows else "no images yet: ./triplane up makes the cluster's, ./triplane image load FILE.tar"
    )


def remove(context: Context, names: list[str]) -> None:
    """Remove loaded images from the lab's registry; nodes that have pulled them keep them."""
    for name in names:
        try:
            typer.echo(f"removed {oci.remove(name, _stores(context), on_wait=lambda: _waiting(context))}")
        except ImageError as error:
            raise MistakeError(str(error)) from error


def prune(context: Context) -> None:
    """Empty the cache of other registries' images."""
    pulled = _stores(context).pulled
    size = pulled.total()
    pulled.clear()
    typer.echo(f"removed {decimal(size)} of images that came from other registries")


def _stores(context: Context) -> Stores:
    return Stores.of(context.workspace.lab.mirror)


def _change(image: Loaded) -> str:
    if image.before is None:
        return f": use it as --image={image.name.short}"
    return ": it was there already" if image.before == image.digest else ": it replaces another image of this tag"


def _waiting(context: Context) -> None:
    context.report.say("waiting for another ./triplane image to finish")


@contextmanager
def _opened(file: str, progress: Progress) -> Iterator[io.BufferedReader[Any]]:
    """Open an archive, and show the progress of reading it."""
    if file == STANDARD_INPUT:
        if sys.stdin.isatty():
            raise MistakeError("no archive comes from standard input: docker save web:1.0 | ./triplane image load -")
        assert isinstance(sys.stdin.buffer, io.BufferedReader)
        yield sys.stdin.buffer
        return
    with _Followed(Path(file), progress) as raw, io.BufferedReader(raw, 1024 * 1024) as stream:
        yield stream


class _Followed(io.FileIO):
    """A file that reports how much of it has been read."""

    def __init__(self, file: Path, progress: Progress) -> None:
        super().__init__(file)
        self._task = file.name
        self._total = file.stat().st_size
        self._progress = progress
        self._read = 0

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = super().readinto(buffer) or 0
        self._read += count
        if self._total > _LARGE:
            share = f"{100 * self._read // self._total} % of {decimal(self._total)}"
            self._progress.update(self._task, share if self._read < self._total else "checking its layers")
        return count
