"""The mirror as a container registry, to pull from alone (OCI distribution specification 1.1)."""

from __future__ import annotations

import json
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from lab.images import Store


def routes(store: Store) -> list[BaseRoute]:
    """Serve a store under /v2. Which registry an image is from (containerd's `?ns=`) makes no difference here."""

    async def version(_: Request) -> Response:
        return JSONResponse({})

    async def manifest(request: Request) -> Response:
        name, reference = request.path_params["name"], request.path_params["reference"]
        if not store.has(name):
            return _error(404, "NAME_UNKNOWN", f"there is no image {name}")
        found = store.manifest(name, reference)
        if not found:
            return _error(404, "MANIFEST_UNKNOWN", f"there is no {name} {reference}")
        file, digest = found
        return _blob(file, digest, json.loads(file.read_text())["mediaType"])

    async def blob(request: Request) -> Response:
        name, digest = request.path_params["name"], request.path_params["digest"]
        file = store.blob(digest) if store.has(name) else None
        if not file:
            return _error(404, "BLOB_UNKNOWN", f"there is no blob {digest} of {name}")
        return _blob(file, file.name, "application/octet-stream")

    async def other(request: Request) -> Response:
        if request.method not in {"GET", "HEAD"}:
            return _error(405, "UNSUPPORTED", "this registry is made by the lab, and takes nothing from others")
        return _error(404, "UNSUPPORTED", f"there is nothing at {request.url.path}")

    everything = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
    return [
        Route("/v2/", version),
        Route("/v2/{name:path}/manifests/{reference}", manifest),
        Route("/v2/{name:path}/blobs/{digest}", blob),
        Route("/v2/{rest:path}", other, methods=everything),
    ]


def _blob(file: Path, digest: str, media_type: str) -> Response:
    return FileResponse(file, media_type=media_type, headers={"Docker-Content-Digest": f"sha256:{digest}"})


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"errors": [{"code": code, "message": message}]}, status_code=status)
