"""One file from a release server: resumed where it broke off, bounded where it stalls, under its name once checked."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx

from toolchain.build_cache import digest
from toolchain.errors import DigestError, ReleaseError, UnreachableError
from toolchain.upstream import Limits, because, browser, odd

Told = Callable[[int, int], None]
"""Called with the bytes that are here, and the bytes of the whole file as far as it is known."""


def download(address: str, target: Path, sha256: str, *, limits: Limits, told: Told) -> None:
    """Have a file with this digest; one that is there under its name was checked before, and is not asked for again.

    What has arrived of it stays beside it as NAME.part, and the next call goes on from there. Raises DigestError for
    a file with another digest, and ReleaseError where the server does not give all of it.
    """
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    resumed = part.exists()
    if not (resumed and digest(part) == sha256):
        _all_of(address, part, limits, told)
    found = digest(part)
    if resumed and found != sha256:  # what was there may be of another file
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
    """The download broke off, and may go on."""


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
            time.sleep(limits.pause * 2 ** (number - 1))  # a server that is overloaded is not helped by haste
    raise UnreachableError(f"{address}: {reason}")


def _client(limits: Limits) -> httpx.Client:
    return browser(timeout=httpx.Timeout(limits.stall, connect=limits.connect))


def _rest(client: httpx.Client, address: str, part: Path, limits: Limits, told: Told) -> None:
    """Add to the part what it lacks."""
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
    """Notices a server that sends, but next to nothing: the HTTP client's own timeout is for silence."""

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
