"""The mirror's HTTP side: whole files and ranges of them, and images, to anyone who asks."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

from lab.mirror.registry import Registry
from lab.mirror.upstream_registries import Registries
from lab.oci import Stores


class _Downloads(StaticFiles):
    """Static files for download: binaries have a binary's media type, and hidden files are not served."""

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        if any(part.startswith(".") for part in Path(path).parts):
            return "", None
        return super().lookup_path(path)

    def file_response(
        self, full_path: os.PathLike[str] | str, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        is_text = Path(full_path).suffix == ".yaml"
        response.headers["content-type"] = "text/yaml; charset=utf-8" if is_text else "application/octet-stream"
        return response


def app(directory: Path, registries: Registries | None = None) -> ASGIApp:
    """Serve a mirror's directory, which may be filled later, and the images of other registries if any may be asked.

    GET and HEAD, with ranges.
    """
    directory.mkdir(parents=True, exist_ok=True)
    images = Registry(Stores.of(directory), registries)
    return Starlette(routes=[*images.routes(), Mount("/", _Downloads(directory=directory))], lifespan=images.lifespan)
