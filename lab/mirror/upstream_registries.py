"""Other registries, asked without credentials (OCI distribution specification 1.1; Docker's token authentication).

Own code: the clients on PyPI (oras, python-dxf) block, and pull whole images rather than single blobs.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit
from urllib.request import parse_http_list, parse_keqv_list

import httpx

from lab.instances import LabError
from lab.oci.names import DOCKER_HUB, REGISTRY, REPOSITORY
from lab.oci.store import MAX_MANIFEST

VARIABLE = "TRIPLANE_REGISTRIES"
"""`none`, or where registries are asked instead of at their own names: REGISTRY=URL, separated by commas."""

_URLS = {DOCKER_HUB: "https://registry-1.docker.io"}
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, "
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json"
)
_TOKEN_SECONDS = 60  # where a token does not say how long it holds (Docker's token specification)


class RegistryError(Exception):
    """A registry does not give what was asked for; the message says why, and what to do."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        """The OCI specification's."""


class UnreachableError(RegistryError):
    """A registry does not answer, or refuses for now: images that were pulled before may be used."""

    def __init__(self, registry: str, reason: str) -> None:
        super().__init__(
            503, "UNAVAILABLE", f"{registry}: {reason}: load the image with ./triplane image load FILE.tar"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Time limits for registries, in seconds."""

    connect: float = 2.0
    stall: float = 20.0
    """For the wait for the next byte of a blob."""
    manifest: float = 10.0
    """For a whole manifest, a token included."""
    blob: float = 3600.0
    """For a whole blob."""
    remember: float = 10.0
    """Time before a registry that did not answer is asked again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Registries:
    """Registries that may be asked, and their URLs."""

    urls: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = Limits()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Registries | None:
        """Read `TRIPLANE_REGISTRIES`; None where no registry is to be asked. Raises LabError."""
        text = environment.get(VARIABLE, "").strip()
        if text == "none":
            return None
        urls = {}
        for entry in filter(None, (part.strip() for part in text.split(","))):
            registry, _, url = entry.partition("=")
            if not (REGISTRY.fullmatch(registry) and re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url)):
                raise LabError(
                    f"{VARIABLE}: {entry!r} is not REGISTRY=URL: "
                    "write none, or for example docker.io=https://mirror.example.com,localhost:5000=http://127.0.0.1:5000"
                )
            urls[registry] = url.rstrip("/")
        return cls(urls=urls)

    def url(self, registry: str) -> str | None:
        """Return the URL of a registry; None if its name means different machines on a host and here."""
        if found := (self.urls.get(registry) or _URLS.get(registry)):
            return found
        if not REGISTRY.fullmatch(registry) or not set(".:") & set(registry) or _is_local(registry):
            return None
        return f"https://{registry}"


def _is_local(registry: str) -> bool:
    """True if a name means the machine that uses it."""
    name = registry.partition(":")[0]
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


class Client:
    """Client of registries, on one event loop."""

    def __init__(self, registries: Registries) -> None:
        self._registries = registries
        self._limits = registries.limits
        self._tokens: dict[tuple[str, str], tuple[float, str]] = {}
        self._silent: dict[str, tuple[float, str]] = {}

    @cached_property
    def _http(self) -> httpx.AsyncClient:
        """HTTP client, made on first use: loading certificates takes a quarter of a second, and many labs need none."""
        timeout = httpx.Timeout(self._limits.stall, connect=self._limits.connect)
        return httpx.AsyncClient(follow_redirects=True, timeout=timeout)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def digest(self, registry: str, path: str, tag: str) -> str | None:
        """Ask for a tag's digest; None if the registry does not tell it without the manifest."""
        async with self._bounded(registry), self._asked("HEAD", registry, path, f"manifests/{tag}") as response:
            found: str | None = response.headers.get("docker-content-digest")
            return found

    async def manifest(self, registry: str, path: str, reference: str) -> bytes:
        """Get a manifest or an index by its tag or its digest. The caller checks the digest."""
        async with self._bounded(registry), self._asked("GET", registry, path, f"manifests/{reference}") as response:
            content = bytearray()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > MAX_MANIFEST:
                    raise RegistryError(
                        502, "MANIFEST_INVALID", f"{registry}/{path} {reference} is not a manifest: too large"
                    )
            return bytes(content)

    async def size(self, registry: str, path: str, digest: str) -> int | None:
        """Ask how many bytes a blob has."""
        async with self._bounded(registry), self._asked("HEAD", registry, path, f"blobs/{digest}") as response:
            return _length(response)

    @asynccontextmanager
    async def blob(
        self, registry: str, path: str, digest: str
    ) -> AsyncIterator[tuple[int | None, AsyncIterator[bytes]]]:
        """Get a blob: its size where the registry says it, and its bytes. The caller checks the digest."""
        try:
            async with (
                asyncio.timeout(self._limits.blob),
                self._asked("GET", registry, path, f"blobs/{digest}") as response,
            ):
                yield _length(response), response.aiter_raw()
        except TimeoutError:
            raise UnreachableError(registry, f"a blob took more than {self._limits.blob:g} s") from None

    @asynccontextmanager
    async def _bounded(self, registry: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._limits.manifest):
                yield
        except TimeoutError:
            raise self._remember(registry, f"it did not answer within {self._limits.manifest:g} s") from None

    @asynccontextmanager
    async def _asked(self, method: str, registry: str, path: str, rest: str) -> AsyncIterator[httpx.Response]:
        url = self._registries.url(registry)
        if url is None or not REPOSITORY.fullmatch(f"{registry}/{path}"):
            hint = f"bring it with ./triplane image load, or name the registry in {VARIABLE}"
            raise RegistryError(404, "NAME_UNKNOWN", f"{registry} is not a registry that the lab can ask: {hint}")
        until, reason = self._silent.get(registry, (0.0, ""))
        if time.monotonic() < until:
            raise UnreachableError(registry, reason)
        try:
            response = await self._send(method, registry, path, f"{url}/v2/{path}/{rest}", url)
        except (httpx.ConnectError, httpx.TimeoutException, httpx.UnsupportedProtocol) as problem:
            raise self._remember(registry, _words(problem)) from problem
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            raise UnreachableError(registry, _words(problem)) from problem
        try:
            self._check(response, registry, path, rest)
            yield response
        except httpx.HTTPError as problem:  # a broken connection: the next try may succeed
            raise UnreachableError(registry, _words(problem)) from problem
        finally:
            await response.aclose()

    async def _send(self, method: str, registry: str, path: str, url: str, base: str) -> httpx.Response:
        """Send a request, with a token where the registry wants one."""
        headers = {"Accept": f"{_MANIFESTS}, */*;q=0.1", "Accept-Encoding": "identity"}
        until, token = self._tokens.get((registry, path), (0.0, ""))
        if time.monotonic() < until:
            headers["Authorization"] = f"Bearer {token}"
        response = await self._http.send(self._http.build_request(method, url, headers=headers), stream=True)
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            await response.aclose()
            challenge = _challenge(response)
            if not challenge:
                raise _denied(registry, path)
            token = await self._token(registry, path, challenge, secure=base.startswith("https:"))
            headers["Authorization"] = f"Bearer {token}"
            response = await self._http.send(self._http.build_request(method, url, headers=headers), stream=True)
        return response

    async def _token(self, registry: str, path: str, challenge: Mapping[str, str], *, secure: bool) -> str:
        """Get a token without an account."""
        realm = challenge.get("realm", "")
        if urlsplit(realm).scheme not in ({"https"} if secure else {"https", "http"}):
            raise UnreachableError(registry, f"it wants a token from {realm!r}, which is not an https address")
        query = {"scope": challenge.get("scope") or f"repository:{path}:pull"}
        if service := challenge.get("service"):
            query["service"] = service
        response = await self._http.get(realm, params=query)
        if response.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise _denied(registry, path)
        try:
            content = response.raise_for_status().json()
            token = str(content.get("token") or content["access_token"])
            seconds = float(content.get("expires_in") or _TOKEN_SECONDS)
        except (ValueError, KeyError, AttributeError, TypeError) as problem:
            raise UnreachableError(registry, f"{realm} gives no token") from problem
        self._tokens[registry, path] = (time.monotonic() + 0.8 * seconds, token)
        return token

    def _check(self, response: httpx.Response, registry: str, path: str, rest: str) -> None:
        status = response.status_code
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            self._tokens.pop((registry, path), None)
            raise _denied(registry, path)
        if status == HTTPStatus.NOT_FOUND:
            kind, _, reference = rest.partition("/")
            code = "BLOB_UNKNOWN" if kind == "blobs" else "MANIFEST_UNKNOWN"
            raise RegistryError(404, code, f"{registry} has no {path} {reference}")
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            raise self._remember(registry, "it allows no more pulls without an account for now (429)")
        if not response.is_success:
            raise self._remember(registry, f"it answers {status} {response.reason_phrase}".rstrip())
        if "html" in response.headers.get("content-type", ""):
            raise self._remember(registry, "a web page answers in its place: is there a login or a proxy in between?")

    def _remember(self, registry: str, reason: str) -> UnreachableError:
        self._silent[registry] = (time.monotonic() + self._limits.remember, reason)
        return UnreachableError(registry, reason)


def _challenge(response: httpx.Response) -> dict[str, str]:
    """Read where to get a token (RFC 9110, 11.6.1); empty if an account is needed."""
    for text in response.headers.get_list("www-authenticate"):
        scheme, _, rest = text.partition(" ")
        if scheme.lower() == "bearer":
            try:
                return parse_keqv_list(parse_http_list(rest))
            except ValueError:
                return {}
    return {}


def _denied(registry: str, path: str) -> RegistryError:
    message = f"{registry} denies {path}: it does not exist or is private. The lab has no credentials: "
    return RegistryError(403, "DENIED", f"{message}load the image with ./triplane image load FILE.tar")


def _length(response: httpx.Response) -> int | None:
    text = response.headers.get("content-length", "")
    return int(text) if text.isdecimal() else None


def _words(problem: Exception) -> str:
    words = str(problem).strip().splitlines()
    return f"no answer ({words[0]})" if words else f"no answer ({type(problem).__name__})"
