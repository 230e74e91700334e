"""Images of other registries: fetched when a host asks, checked, cached, and passed on during the download."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import IO

from lab.mirror.upstream_registries import Client, RegistryError, UnreachableError
from lab.oci import Store
from lab.oci.store import Manifest, media_type_of, read_manifest

_log = logging.getLogger("lab")
_CHUNK = 256 * 1024


class Download:
    """A blob that is being fetched: once, for all clients that ask for it meanwhile.

    Its last piece is held back until the digest is known to be right.
    """

    def __init__(self) -> None:
        self.size: int | None = None
        self.error: RegistryError | None = None
        self.ended = False
        self._file: Path | None = None
        self._ready = 0
        self._changed = asyncio.Event()

    def tell(self, *, file: Path | None = None, size: int | None = None, ready: int = 0) -> None:
        """Record the progress, and wake the readers."""
        self._file, self.size, self._ready = file or self._file, size or self.size, max(ready, self._ready)
        self._wake()

    def end(self, error: RegistryError | None = None) -> None:
        """Record that it is complete, or why it failed."""
        self.ended, self.error = True, error
        self._wake()

    async def started(self) -> None:
        """Wait until its size is known; raises what went wrong before that."""
        while not (self._file or self.ended):
            await self._changed.wait()
        if self.error:
            raise self.error

    def open(self) -> IO[bytes]:
        """Open the file that it is written to; the file no longer exists after the end."""
        assert self._file
        return self._file.open("rb")

    async def follow(self, stream: IO[bytes]) -> AsyncIterator[bytes]:
        """Yield its bytes as they arrive; raise an error if the fetch fails, so that the reader sees it cut off."""
        with stream:
            sent = 0
            while True:
                changed = self._changed
                while sent < self._ready:
                    chunk = stream.read(min(_CHUNK, self._ready - sent))
                    sent += len(chunk)
                    yield chunk
                if self.error:
                    raise self.error
                if self.ended and sent >= self._ready:
                    return
                if changed is self._changed:
                    await changed.wait()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class Puller:
    """Puller that fills a store from other registries, on one event loop."""

    def __init__(self, client: Client, store: Store) -> None:
        self._client = client
        self._store = store
        self._downloads: dict[str, Download] = {}
        self._under_way: dict[tuple[str, ...], asyncio.Task[Manifest]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        with store.locked():  # its folders are there from now on
            pass

    async def close(self) -> None:
        """Cancel everything that runs."""
        tasks = [*self._tasks, *self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()

    async def tagged(self, registry: str, path: str, tag: str) -> Manifest:
        """Return a tag's current manifest, or its last known one if the registry does not answer.

        Errors: `RegistryError`.
        """
        return await self._once((registry, path, tag), lambda: self._tagged(registry, path, tag))

    async def manifest(self, registry: str, path: str, digest: str) -> Manifest:
        """Return a manifest by its digest, which is not in the store yet. Errors: `RegistryError`."""
        return await self._once((registry, path, digest), lambda: self._by_digest(registry, path, digest))

    async def size(self, registry: str, path: str, digest: str) -> int | None:
        """Return a blob's size in bytes, if the registry tells it. Errors: `RegistryError`."""
        return await self._client.size(registry, path, digest)

    async def blob(self, registry: str, path: str, digest: str) -> Download:
        """Start to fetch a blob, or join a fetch that runs. Errors: `RegistryError`."""
        download = self._downloads.get(digest)
        if not download:
            download = self._downloads[digest] = Download()
            task = asyncio.create_task(self._fill(download, registry, path, digest))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await download.started()
        return download

    async def _tagged(self, registry: str, path: str, tag: str) -> Manifest:
        repository = f"{registry}/{path}"
        known = self._store.manifest(repository, tag)
        try:
            if known and await self._client.digest(registry, path, tag) == f"sha256:{known.digest}":
                return known
            content = await self._client.manifest(registry, path, tag)
        except UnreachableError as problem:
            if known:
                _log.warning("%s:%s is what it was when it was pulled last: %s", repository, tag, problem)
                return known
            raise
        found = self._keep(content, f"{repository}:{tag}")
        self._store.name(repository, tag, found.digest)
        return found

    async def _by_digest(self, registry: str, path: str, digest: str) -> Manifest:
        content = await self._client.manifest(registry, path, digest)
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
            raise _wrong(f"{registry}/{path}", digest)
        return self._keep(content, f"{registry}/{path}@{digest}")

    def _keep(self, content: bytes, name: str) -> Manifest:
        digest = self._store.add(content)
        file = self._store.blob(f"sha256:{digest}")
        media_type = media_type_of(read_manifest(file)) if file else None
        if not file or not media_type:
            raise RegistryError(
                502, "MANIFEST_INVALID", f"{name} has a manifest of a kind that containerd does not read"
            )
        return Manifest(file, digest, media_type)

    async def _fill(self, download: Download, registry: str, path: str, digest: str) -> None:
        """Fetch a blob to its end, even if no client waits for it any longer."""
        try:
            await self._fetch(download, registry, path, digest)
            download.end()
        except RegistryError as problem:
            _log.warning("%s/%s %s: %s", registry, path, digest, problem)
            download.end(problem)
        except OSError as problem:
            _log.warning("%s/%s %s: %s", registry, path, digest, problem)
            download.end(RegistryError(500, "UNKNOWN", f"the lab cannot keep a blob of {registry}/{path}: {problem}"))
        except asyncio.CancelledError:
            download.end(UnreachableError(registry, "the lab is being stopped"))
            raise
        finally:
            del self._downloads[digest]

    async def _fetch(self, download: Download, registry: str, path: str, digest: str) -> None:
        checked, written = hashlib.sha256(), 0
        async with self._client.blob(registry, path, digest) as (size, chunks):
            with self._store.draft() as draft:
                with draft.open("wb") as stream:
                    download.tell(file=draft, size=size)
                    async for chunk in chunks:
                        stream.write(chunk)
                        stream.flush()
                        checked.update(chunk)
                        download.tell(ready=written)
                        written += len(chunk)
                if f"sha256:{checked.hexdigest()}" != digest:
                    raise _wrong(f"{registry}/{path}", digest)
                self._store.keep(draft, checked.hexdigest())
                download.tell(ready=written)

    async def _once(self, key: tuple[str, ...], work: Callable[[], Awaitable[Manifest]]) -> Manifest:
        """Do a piece of work once for all callers that want it at the same time."""

        async def do() -> Manifest:
            try:
                return await work()
            finally:
                del self._under_way[key]

        if key not in self._under_way:
            self._under_way[key] = asyncio.create_task(do())
            # If all callers are gone, its error is read here, so that asyncio does not report it.
            self._under_way[key].add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._under_way[key])


def _wrong(repository: str, digest: str) -> RegistryError:
    return RegistryError(
        502, "DIGEST_INVALID", f"{repository} sent something else than {digest}: is there a proxy in between?"
    )
