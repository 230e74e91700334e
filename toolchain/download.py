"""One file from a release server: resumed after a break, stopped if it stalls, and named when its digest is checked."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx

from toolchain.build_cache import digest
from toolchain.errors import DigestError, ReleaseError, UnreachableError
from toolchain.upstream import Limits, because, browser, odd

Told = Callable[[int, int], None]
"""Called with the bytes that have arrived, and the bytes of the whole file as far as they are known."""


def download(address: str, target: Path, sha256: str, *, limits: Limits, told: Told) -> None:
    """Download a file with this digest; a file that already has its name was checked before, and is used as it is.

    An incomplete download stays beside it as NAME.part, and the next call continues it. Raises DigestError for a file
    with another digest, and ReleaseError if the server does not send all of it.
    """
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    resumed = part.exists()
    if not (resumed and digest(part) == sha256):
        _all_of(address, part, limits, told)
    found = digest(part)
    if resumed and found != sha256:  # the earlier part may be of another file
        part.unlink()
        _all_of(address, part, limits, told)
        found = digest(part)
    if found != sha256:
        part.unlink()
        raise DigestError(f"{address} has the SHA-256 {found}, but {sha256} is pinned")
    part.replace(target)


def text(address: str, limits: Limits) -> str:
    """Read a small text file. Raises ReleaseError."""
    try:
        with _client(limits) as client:
            response = client.get(address)
    except httpx.HTTPError as problem:
        raise UnreachableError(f"{address}: {because(problem)}") from problem
    if response.status_code != httpx.codes.OK:
        raise ReleaseError(f"{address}: it answers {response.status_code} {response.reason_phrase}".rstrip())
    return response.text


class _Again(Exception):  # noqa: N818 - not an error to anyone but the loop below
    """The download broke off, and can be continued."""


def _all_of(address: str, part: Path, limits: Limits, told: Told) -> None:
    for number in range(1, limits.tries + 1):
        try:
            with _client(limits) as client:
                return _rest(client, address, part, limits, told)
        except (httpx.TransportError, _Again) as problem:
            reason = because(problem)
        except httpx.HTTPError as problem:
            raise ReleaseError(f"{address}: {because(problem)}") from problem
        if number < limits.tries:
            time.sleep(limits.pause * 2 ** (number - 1))  # quick retries do not help an overloaded server
    raise UnreachableError(f"{address}: {reason}")


def _client(limits: Limits) -> httpx.Client:
    return browser(timeout=httpx.Timeout(limits.stall, connect=limits.connect))


def _rest(client: httpx.Client, address: str, part: Path, limits: Limits, told: Told) -> None:
    """Download the rest of a partial file."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with client.stream("GET", address, headers=headers) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink()
            raise _Again("what is here of it is longer than the file")
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
            raise _Again(odd(response))
        if not response.is_success:
            raise ReleaseError(f"{address}: it answers {response.status_code} {response.reason_phrase}".rstrip())
        goes_on = response.headers.get("content-range", "").startswith(f"bytes {have}-")
        if response.status_code != httpx.codes.PARTIAL_CONTENT or not goes_on:
            have = 0
        total = have + int(response.headers.get("content-length", 0))
        watch = _Watch(limits)
        with part.open("ab" if have else "wb") as stream:
            for chunk in response.iter_bytes():
                stream.write(chunk)
                have += len(chunk)
                watch.arrived(len(chunk))
                told(have, max(have, total))


class _Watch:
    """Detects a server that sends too slowly: the HTTP client's own timeout is only for a server that sends nothing."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._since = time.monotonic()
        self._bytes = 0

    def arrived(self, count: int) -> None:
        self._bytes += count
        now = time.monotonic()
        if now - self._since < self._limits.stall:
            return
        if self._bytes < self._limits.rate * (now - self._since):
            raise _Again(f"it stalls: less than {self._limits.rate / 1000:g} kB/s for {self._limits.stall:g} s")
        self._since, self._bytes = now, 0
