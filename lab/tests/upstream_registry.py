"""A small registry on the loopback address, which plays what public ones do, and what goes wrong with them."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from lab.tests.archives import Layout, sha256

TOKEN = "a-token-for-everyone"


@dataclass
class Upstream:
    """Its images, its moods, and what it was asked."""

    layout: Layout = field(default_factory=Layout)
    tags: dict[str, str] = field(default_factory=dict)
    """PATH:TAG → digest."""
    asked: list[str] = field(default_factory=list)
    wants_token: bool = False
    private: bool = False
    redirects: bool = False
    status: int = 0
    """Answered to everything under /v2/, where it is not 0."""
    wrong: bool = False
    """Blobs and manifests have another content than their digest says."""
    cut: bool = False
    """Blobs end half-way."""
    page: bool = False
    """A login page answers in its place."""
    silent: bool = False
    """It takes requests and does not answer."""
    holds: bool = False
    """The second half of a blob waits for `release`."""
    held: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = field(default_factory=list)
    """The second halves that wait, or waited."""

    def push(self, name: str, text: str = "hello", arch: str = "amd64") -> str:
        """Put an image for two platforms under a tag, and return the digest of its index."""
        index = self.layout.index(self.layout.image(text, arch), self.layout.image(f"{text} on arm64", "arm64"))
        self.tags[name] = str(index["digest"])
        return self.tags[name]

    def layer(self, text: str = "hello") -> str:
        """Return the digest of an image's layer."""
        return next(
            f"sha256:{sha256(content)}"
            for content in self.layout.files.values()
            if content[:2] == b"\x1f\x8b" and gzip.decompress(content).find(text.encode()) > 0
        )

    def blob(self, digest: str) -> bytes | None:
        content = self.layout.files.get(f"blobs/sha256/{digest.removeprefix('sha256:')}")
        return content + b" " if content and self.wrong else content

    def release(self) -> None:
        """Let the second halves go; to be called from another thread."""
        self.holds = False
        for loop, event in self.held:
            loop.call_soon_threadsafe(event.set)

    def count(self, text: str) -> int:
        """Say how often it was asked for what has this in it."""
        return sum(text in line for line in self.asked)

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/token", self._token),
                Route("/storage/{digest}", self._storage),
                Route("/v2/{name:path}/manifests/{reference}", self._manifest),
                Route("/v2/{name:path}/blobs/{digest}", self._blob),
            ]
        )

    async def _token(self, request: Request) -> Response:
        self.asked.append(f"TOKEN {request.query_params['service']} {request.query_params['scope']}")
        return JSONResponse({}, 401) if self.private else JSONResponse({"token": TOKEN, "expires_in": 300})

    async def _gate(self, request: Request) -> Response | None:
        self.asked.append(f"{request.method} {request.url.path}")
        if self.silent:
            while (await request.receive())["type"] != "http.disconnect":
                pass
        if self.status:
            return JSONResponse({}, self.status)
        if self.page:
            return Response("<html>log in</html>", media_type="text/html")
        if self.wants_token and request.headers.get("authorization") != f"Bearer {TOKEN}":
            scope = f"repository:{request.path_params['name']}:pull"
            challenge = f'Bearer realm="{request.base_url}token",service="upstream, and more",scope="{scope}"'
            return JSONResponse({}, 401, headers={"WWW-Authenticate": challenge})
        return None

    async def _manifest(self, request: Request) -> Response:
        if refused := await self._gate(request):
            return refused
        name, reference = request.path_params["name"], request.path_params["reference"]
        digest = self.tags.get(f"{name}:{reference}", reference)
        content = self.blob(digest)
        if content is None:
            return JSONResponse({"errors": [{"code": "MANIFEST_UNKNOWN"}]}, 404)
        kind = "index" if b'"manifests"' in content else "manifest"
        media_type = f"application/vnd.oci.image.{kind}.v1+json"
        return Response(content, media_type=media_type, headers={"Docker-Content-Digest": digest})

    async def _blob(self, request: Request) -> Response:
        if refused := await self._gate(request):
            return refused
        if self.redirects:
            other = f"http://localhost:{request.url.port}/storage/{request.path_params['digest']}"
            return RedirectResponse(other)
        return self._content(request.path_params["digest"])

    async def _storage(self, request: Request) -> Response:
        self.asked.append(f"STORAGE {request.headers.get('authorization')}")
        return self._content(request.path_params["digest"])

    def _content(self, digest: str) -> Response:
        content = self.blob(digest)
        if content is None:
            return JSONResponse({}, 404)
        return StreamingResponse(self._pieces(content), headers={"Content-Length": str(len(content))})

    async def _pieces(self, content: bytes) -> AsyncIterator[bytes]:
        half = len(content) // 2
        yield content[:half]
        if self.cut:
            raise ConnectionError("cut off, as the test wants it")
        if self.holds:
            self.held.append((asyncio.get_running_loop(), asyncio.Event()))
            await self.held[-1][1].wait()
        yield content[half:]
