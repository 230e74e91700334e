"""The mirror as a container registry, for pulls only (OCI distribution specification 1.1)."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from lab.mirror.pulling import Puller
from lab.mirror.upstream_registries import Client, Registries, RegistryError
from lab.oci import Stores
from lab.oci.names import TAG
from lab.oci.store import Manifest, Store

_log = logging.getLogger("lab")

_BINARY = "application/octet-stream"


class Registry:
    """Registry that serves the stores, and images of other registries if these may be asked.

    containerd names the registry in `?ns=`. Clients that do not name it there put it in front of the path.
    """

    def __init__(self, stores: Stores, registries: Registries | None) -> None:
        self._stores = stores
        self._registries = registries
        self._puller: Puller | None = None

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Keep the clients of other registries open while inside."""
        if self._registries:
            self._puller = Puller(Client(self._registries), self._stores.pulled)
        yield
        if self._puller:
            await self._puller.close()

    def routes(self) -> list[BaseRoute]:
        """List the routes under /v2."""
        everything = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
        return [
            Route("/v2/", _version),
            Route("/v2/{name:path}/manifests/{reference}", self._manifest),
            Route("/v2/{name:path}/blobs/{digest}", self._blob),
            Route("/v2/{rest:path}", _other, methods=everything),
            Route("/why/{status:int}/{words:path}", _why),
        ]

    async def _manifest(self, request: Request) -> Response:
        registry, path = _meant(request)
        try:
            found = await self._find(registry, path, request.path_params["reference"])
        except RegistryError as error:
            return _refusal(request, error)
        return _file(found.file, found.digest, found.media_type)

    async def _find(self, registry: str, path: str, reference: str) -> Manifest:
        """Find a manifest: the stores' own tags come before another registry's, and a digest is fetched once."""
        repository, is_tag = f"{registry}/{path}", bool(TAG.fullmatch(reference))
        kept = [self._stores.built, self._stores.loaded]
        if not (self._puller and is_tag):
            kept.append(self._stores.pulled)
        for store in kept:
            if found := store.manifest(repository, reference):
                return found
        if not self._puller:
            raise self._unknown(kept, repository, reference)
        return await (self._puller.tagged if is_tag else self._puller.manifest)(registry, path, reference)

    def _unknown(self, kept: list[Store], repository: str, reference: str) -> RegistryError:
        hint = "./triplane image list shows what there is"
        if any(store.has(repository) for store in kept):
            return RegistryError(404, "MANIFEST_UNKNOWN", f"there is no {repository} {reference}: {hint}")
        return RegistryError(404, "NAME_UNKNOWN", f"there is not an image {repository}: {hint}")

    async def _blob(self, request: Request) -> Response:
        (registry, path), digest = _meant(request), request.path_params["digest"]
        if file := self._kept(digest):
            return _file(file, file.name, _BINARY)
        if not (self._puller and digest.startswith("sha256:")):
            return _error(404, "BLOB_UNKNOWN", f"there is no blob {digest} of {registry}/{path}")
        try:
            return await self._pulled(self._puller, request.method, registry, path, digest)
        except RegistryError as error:
            return _refusal(request, error)

    def _kept(self, digest: str) -> Path | None:
        stores = (self._stores.built, self._stores.loaded, self._stores.pulled)
        return next(filter(None, (store.blob(digest) for store in stores)), None)

    async def _pulled(self, puller: Puller, method: str, registry: str, path: str, digest: str) -> Response:
        headers = {"Docker-Content-Digest": digest}
        if method == "HEAD" and (size := await puller.size(registry, path, digest)) is not None:
            return Response(headers=headers | {"Content-Length": str(size)}, media_type=_BINARY)
        download = await puller.blob(registry, path, digest)
        if file := self._kept(digest):  # a small one is already complete
            return _file(file, file.name, _BINARY)
        if download.size is not None:
            headers["Content-Length"] = str(download.size)
        return StreamingResponse(download.follow(download.open()), headers=headers, media_type=_BINARY)


async def _version(_: Request) -> Response:
    return JSONResponse({})


async def _other(request: Request) -> Response:
    if request.method not in {"GET", "HEAD"}:
        return _error(405, "UNSUPPORTED", "nothing is pushed to this registry: use ./triplane image load FILE.tar")
    return _error(404, "UNSUPPORTED", f"there is nothing at {request.url.path}")


async def _why(request: Request) -> Response:
    words = str(request.path_params["words"]).replace("-", " ")
    return _error(request.path_params["status"], "UNAVAILABLE", words)


def _meant(request: Request) -> tuple[str, str]:
    """Return the registry and the path in it."""
    path = str(request.path_params["name"])
    registry, slash, rest = path.partition("/")
    if namespace := request.query_params.get("ns"):
        return namespace, path
    return (registry, rest) if slash else ("", path)


def _file(file: Path, digest: str, media_type: str) -> Response:
    return FileResponse(file, media_type=media_type, headers={"Docker-Content-Digest": f"sha256:{digest}"})


def _refusal(request: Request, error: RegistryError) -> Response:
    """Refuse a request. The answer to a HEAD has no body, and containerd shows only its status and its address.

    So the message is in the address, which the pod's events show.
    """
    if error.status != HTTPStatus.NOT_FOUND:
        _log.warning("%s %s: %s", request.method, request.url.path, error)
    if request.method == "HEAD" and error.status != HTTPStatus.NOT_FOUND:
        words = quote(str(error).replace(" ", "-"), safe="/:(),'")
        return RedirectResponse(f"/why/{error.status}/{words}")
    return _error(error.status, error.code, str(error))


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"errors": [{"code": code, "message": message}]}, status_code=status)
