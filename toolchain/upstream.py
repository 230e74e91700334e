"""Upstream's release servers: whether they may be asked, whether they answer, and where they are."""

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
"""Set to 1: everything is built from source, and no release server is asked."""

FETCH_VARIABLE = "TRIPLANE_FETCH"
"""Set to 1: upstream's releases are taken, and one that cannot be taken is an error."""

UPSTREAM_VARIABLE = "TRIPLANE_UPSTREAM"
"""The URL of a mirror that has upstream's files below it, as URL/HOST/PATH; it is asked in upstream's place."""

CATALOG_VARIABLE = "TRIPLANE_RELEASES"
"""A catalog with other digests than those of assets/releases.yaml, for a mirror that serves its own builds."""

RELEASES = Path(__file__).parents[1] / "assets/releases.yaml"
"""Upstream's releases, with digests."""


class Mode(StrEnum):
    """Source of programs."""

    PROBE = "probe"
    """Upstream's releases where their servers answer; what cannot be taken is built."""
    BUILD = "build"
    FETCH = "fetch"


def mode(environment: Mapping[str, str]) -> Mode:
    """Read the mode from the environment. Raises ToolchainError where both variables are set."""
    build, fetch = (environment.get(name) == "1" for name in (BUILD_VARIABLE, FETCH_VARIABLE))
    if build and fetch:
        raise ToolchainError(f"{BUILD_VARIABLE}=1 and {FETCH_VARIABLE}=1 contradict each other: unset one of them.")
    return Mode.BUILD if build else Mode.FETCH if fetch else Mode.PROBE


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Time limits for servers, in seconds; `rate` is in bytes per second."""

    probe: float = 2.0
    """For all hosts together: they are asked side by side."""
    connect: float = 10.0
    stall: float = 30.0
    """A download is broken off where this long passes with fewer bytes than `rate` asks for."""
    rate: int = 10_000
    tries: int = 3
    pause: float = 1.0
    """Before the second try; it doubles with each further one."""


@dataclass(kw_only=True, slots=True)
class Upstream:
    """The release servers, as one command sees them: what a host answered is remembered."""

    mode: Mode
    catalog: Catalog
    mirror: str = ""
    """Asked in upstream's place: it has upstream's paths below upstream's host names."""
    limits: Limits = field(default_factory=Limits)
    _refusals: dict[str, str] = field(default_factory=dict)
    """Host and port → why it is not asked any more; empty where it answered."""

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
        """Return where to ask for what upstream has at `url`."""
        parts = urlsplit(url)
        return f"{self.mirror}/{parts.netloc}{parts.path}" if self.mirror else url

    def probe(self, urls: Iterable[str]) -> None:
        """Ask each host that has not been asked yet for the first of its files, all side by side.

        Nothing is asked where the mode leaves no choice. Takes `limits.probe` seconds at most.
        """
        if self.mode is not Mode.PROBE:
            return
        first = {host(address): address for address in reversed([self.address(url) for url in urls])}
        waited = f"no answer within {self.limits.probe:g} s"
        answers = {name: waited for name in first if name not in self._refusals}
        if not answers:
            return
        try:
            client = browser(timeout=self.limits.probe)  # left open: a thread that is late still has it
        except UnreachableError as problem:
            self._refusals.update(dict.fromkeys(answers, str(problem)))
            return
        asked = [
            # Daemons: a name server that does not answer holds a thread longer than anyone waits for it.
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
        """Say why a file's host is not asked; empty where it is, or was not probed."""
        return self._refusals.get(host(self.address(url)), "")

    def give_up(self, url: str, reason: str) -> None:
        """Ask a file's host no more in this command: its next file would cost the same wait."""
        self._refusals[host(self.address(url))] = reason


def _ask(client: httpx.Client, address: str, answers: dict[str, str]) -> None:
    try:
        # Not HEAD, which some storage servers refuse at an address that is signed for GET.
        with client.stream("GET", address) as response:
            answers[host(address)] = odd(response)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as problem:
        answers[host(address)] = because(problem)


@cache
def _trusted() -> ssl.SSLContext:
    return httpx.create_ssl_context()  # a quarter of a second, so once


def browser(*, timeout: httpx.Timeout | float) -> httpx.Client:
    """Make a client that takes files as they are published, without a compression in between.

    Raises UnreachableError where the environment names a proxy that the client cannot use.
    """
    headers = {"Accept-Encoding": "identity"}
    try:
        return httpx.Client(follow_redirects=True, timeout=timeout, headers=headers, verify=_trusted())
    except (ImportError, ValueError) as problem:
        raise UnreachableError(f"the proxy that is set cannot be used ({because(problem)})") from problem


def host(url: str) -> str:
    """Return the host, with its port where it is not the usual one."""
    return urlsplit(url).netloc


def odd(response: httpx.Response) -> str:
    """Say what is wrong with an answer, by its header; empty where it can be a release file, or its absence."""
    if response.status_code in {404, 410}:
        return ""
    if response.is_error or not response.is_success:
        return f"it answers {response.status_code} {response.reason_phrase}".rstrip()
    kind = response.headers.get("content-type", "")
    return "it answers with a web page: is there a login or a proxy in between?" if "html" in kind else ""


def because(problem: Exception) -> str:
    """Put an HTTP client's error into one line; some of them have no words of their own."""
    words = str(problem).strip().splitlines()
    return words[0] if words else type(problem).__name__
