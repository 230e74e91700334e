"""Upstream's release servers: permission to ask them, probes of their answers, and their addresses."""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from toolchain import release_catalog
from toolchain.errors import ToolchainError, UnreachableError
from toolchain.release_catalog import Catalog

BUILD_VARIABLE = "TRIPLANE_BUILD"
"""Variable: with 1 everything is built from source, and no release server is asked."""

FETCH_VARIABLE = "TRIPLANE_FETCH"
"""Variable: with 1 upstream's releases are used, and a failed download is an error."""

UPSTREAM_VARIABLE = "TRIPLANE_UPSTREAM"
"""Variable with the URL of a mirror that has upstream's files, as URL/HOST/PATH; it is used instead of upstream."""

CATALOG_VARIABLE = "TRIPLANE_RELEASES"
"""Variable with a catalog that replaces the digests of assets/releases.yaml, for a mirror with its own builds."""

RELEASES = Path(__file__).parents[1] / "assets/releases.yaml"
"""Upstream's releases, with digests."""


class Mode(StrEnum):
    """Source of programs."""

    PROBE = "probe"
    """Upstream's releases if their servers answer; programs that cannot be downloaded are built."""
    BUILD = "build"
    FETCH = "fetch"


def mode(environment: Mapping[str, str]) -> Mode:
    """Read the mode from the environment. Raises ToolchainError if both variables are set."""
    build, fetch = (environment.get(name) == "1" for name in (BUILD_VARIABLE, FETCH_VARIABLE))
    if build and fetch:
        raise ToolchainError(f"{BUILD_VARIABLE}=1 and {FETCH_VARIABLE}=1 contradict each other: unset one of them.")
    return Mode.BUILD if build else Mode.FETCH if fetch else Mode.PROBE


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Time limits for servers, in seconds; `rate` is in bytes per second."""

    probe: float = 2.0
    """Limit for all servers together: they are asked in parallel."""
    connect: float = 10.0
    stall: float = 30.0
    """A download is stopped if it stays slower than `rate` for this time."""
    rate: int = 10_000
    tries: int = 3
    pause: float = 1.0
    """Pause before the second try; it doubles before each further one."""


@dataclass(kw_only=True, slots=True)
class Upstream:
    """The release servers during one command: the answer of each server is remembered."""

    mode: Mode
    catalog: Catalog
    mirror: str = ""
    """URL of a mirror that is used instead of upstream: it has upstream's paths below upstream's host names."""
    limits: Limits = field(default_factory=Limits)
    _refusals: dict[str, str] = field(default_factory=dict)
    """Host and port → why it is not asked any more; empty if it answered."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Upstream:
        """Read all of it from the environment. Raises ToolchainError and CatalogError."""
        environment = os.environ if environment is None else environment
        mirror = environment.get(UPSTREAM_VARIABLE, "").rstrip("/")
        if mirror and not (urlsplit(mirror).scheme in {"http", "https"} and urlsplit(mirror).netloc):
            raise ToolchainError(
                f"{UPSTREAM_VARIABLE}={mirror} is not a URL: write http://HOST or https://HOST/FOLDER."
            )
        return cls(
            mode=mode(environment),
            catalog=release_catalog.load(Path(environment.get(CATALOG_VARIABLE) or RELEASES)),
            mirror=mirror,
        )

    def address(self, url: str) -> str:
        """Return the address to use for upstream's `url`."""
        parts = urlsplit(url)
        return f"{self.mirror}/{parts.netloc}{parts.path}" if self.mirror else url

    def probe(self, urls: Iterable[str]) -> None:
        """Ask each server that has not been asked yet for the first of its files, all in parallel.

        No server is asked if the mode leaves no choice. Takes `limits.probe` seconds at most.
        """
        if self.mode is not Mode.PROBE:
            return
        first = {host(address): address for address in reversed([self.address(url) for url in urls])}
        waited = f"no answer within {self.limits.probe:g} s"
        answers = {name: waited for name in first if name not in self._refusals}
        if not answers:
            return
        try:
            client = browser(timeout=self.limits.probe)  # left open: a late thread still uses it
        except UnreachableError as problem:
            self._refusals.update(dict.fromkeys(answers, str(problem)))
            return
        asked = [
            # Daemon threads: if a name server does not answer, a thread lasts longer than the probe waits.
            threading.Thread(target=_ask, args=(client, first[name], answers), daemon=True)
            for name in answers
        ]
        for thread in asked:
            thread.start()
        end = time.monotonic() + self.limits.probe
        for thread in asked:
            thread.join(max(0.0, end - time.monotonic()))
        self._refusals.update(answers)

    def refusal(self, url: str) -> str:
        """Say why a file's server is not asked; empty if it is, or was not probed."""
        return self._refusals.get(host(self.address(url)), "")

    def give_up(self, url: str, reason: str) -> None:
        """Stop asking a file's server in this command: its next file would take the same wait."""
        self._refusals[host(self.address(url))] = reason


def _ask(client: httpx.Client, address: str, answers: dict[str, str]) -> None:
    try:
        # Not HEAD: some storage servers refuse it at an address that is signed for GET.
        with client.stream("GET", address) as response:
            answers[host(address)] = odd(response)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as problem:
        answers[host(address)] = because(problem)


@cache
def _trusted() -> ssl.SSLContext:
    return httpx.create_ssl_context()  # a quarter of a second, so once


def browser(*, timeout: httpx.Timeout | float) -> httpx.Client:
    """Make a client that gets files as they are published, without compression during the transfer.

    Raises UnreachableError if the environment names a proxy that the client cannot use.
    """
    headers = {"Accept-Encoding": "identity"}
    try:
        return httpx.Client(follow_redirects=True, timeout=timeout, headers=headers, verify=_trusted())
    except (ImportError, ValueError) as problem:
        raise UnreachableError(f"the proxy that is set cannot be used ({because(problem)})") from problem


def host(url: str) -> str:
    """Return the host, with its port if it is not the default one."""
    return urlsplit(url).netloc


def odd(response: httpx.Response) -> str:
    """Say what is wrong with an answer, by its header; empty if it can be a release file, or says that none exists."""
    if response.status_code in {404, 410}:
        return ""
    if response.is_error or not response.is_success:
        return f"it answers {response.status_code} {response.reason_phrase}".rstrip()
    kind = response.headers.get("content-type", "")
    return "it answers with a web page: is there a login or a proxy in between?" if "html" in kind else ""


def because(problem: Exception) -> str:
    """Put an HTTP client's error into one line; some errors have no text of their own."""
    words = str(problem).strip().splitlines()
    return words[0] if words else type(problem).__name__
