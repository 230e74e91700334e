"""Reading of JSON over HTTP. It can only send GET: the doctor changes nothing.

It is own code with the standard library, not the clouds' official clients: docs/decisions/the-doctor-reads.md.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

SECONDS = 15.0
TRIES = 4
LONGEST_PAUSE = 10.0
BUSY = 429
PER_PAGE = 200


class ReadError(Exception):
    """Something could not be read; the message is one line, without the token."""


class UnreachableError(ReadError):
    """No answer."""


class RefusedError(ReadError):
    """An answer that refuses the request."""

    def __init__(self, message: str, status: int, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        """The API's own error code, e.g. DigitalOcean's `id` or Cloudflare's first error code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A response."""

    text: str
    clock_offset: float | None
    """Seconds that the server's clock is ahead of this machine's; None if the answer has no time."""


@dataclass(kw_only=True)
class Reader:
    """A server that is asked with GET. Each path is requested once, and its answer is remembered."""

    base: str
    token: str | None = field(default=None, repr=False)
    accept: str = "application/json"
    direct: bool = False
    """Do not use the proxy that the environment names."""
    pause: float = 1.0
    """Seconds before the second try; twice as long before each further one."""
    answers: dict[str, Answer] = field(default_factory=dict, repr=False)

    @property
    def host(self) -> str:
        """Name the server, for messages."""
        return urlsplit(self.base).netloc

    def json(self, path: str, **query: str | int) -> dict[str, Any]:
        """GET a path and decode the answer. Raises ReadError."""
        answer = self.get(path, **query)
        try:
            body = json.loads(answer.text)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise ReadError(f"GET {path}: {self.host} answers with something that is not its JSON: a proxy?")
        return body

    def get(self, path: str, **query: str | int) -> Answer:
        """GET a path. Raises ReadError."""
        url = f"{self.base}{path}{f'?{urlencode(query)}' if query else ''}"
        if url not in self.answers:
            self.answers[url] = self._ask(url, path)
        return self.answers[url]

    def pages(self, path: str, key: str, **query: str | int) -> Iterator[dict[str, Any]]:
        """Return all items under `key` of a list that DigitalOcean splits into pages. Raises ReadError."""
        page = 1
        while True:
            body = self.json(path, per_page=PER_PAGE, page=page, **query)
            yield from body[key]
            if "next" not in (body.get("links") or {}).get("pages", {}):
                return
            page += 1

    def _ask(self, url: str, path: str) -> Answer:
        headers = {"Accept": self.accept, "User-Agent": "triplane-doctor"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        request = Request(url, headers=headers)  # noqa: S310 - http or https: the settings allow nothing else
        for number in range(TRIES):
            last = number == TRIES - 1
            pause = min(self.pause * 2**number, LONGEST_PAUSE)
            try:
                return self._answer(request)
            except HTTPError as error:
                if last or not (error.code == BUSY or error.code >= 500):
                    raise self._refused(error, path) from None
                pause = min(max(pause, _retry_after(error.headers.get("Retry-After"))), LONGEST_PAUSE)
            except (URLError, HTTPException, OSError) as error:
                if last:
                    reason = getattr(error, "reason", None) or error
                    raise UnreachableError(f"{self.host} does not answer: {_one_line(reason)}") from None
            time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _answer(self, request: Request) -> Answer:
        began = time.time()
        with self._opener().open(request, timeout=SECONDS) as response:
            text = response.read().decode(errors="replace")
            now = (began + time.time()) / 2
            return Answer(text=text, clock_offset=_offset(response.headers, now))

    def _opener(self) -> OpenerDirector:
        """Make an opener for HTTP only. A redirect is an error: it would send the token to an unknown server."""
        opener = OpenerDirector()
        for handler in (
            ProxyHandler({} if self.direct else None),
            HTTPHandler(),
            HTTPSHandler(),
            HTTPErrorProcessor(),
            HTTPDefaultErrorHandler(),
        ):
            opener.add_handler(handler)
        return opener

    def _refused(self, error: HTTPError, path: str) -> RefusedError:
        code, said = _complaint(error.read().decode(errors="replace"))
        return RefusedError(
            f"GET {path}: {self.host} answers {error.code}{f', {said}' if said else ''}", error.code, code
        )


def _retry_after(told: str | None) -> float:
    try:
        return float(told or "")
    except ValueError:
        return 0.0


def _offset(headers: Mapping[str, str], now: float) -> float | None:
    """Compare clocks by the header Date (RFC 9110, 6.6.1), which has whole seconds."""
    try:
        told = parsedate_to_datetime(headers.get("Date", ""))
    except ValueError:
        return None
    return (told - datetime.fromtimestamp(now, UTC)).total_seconds()


def _complaint(text: str) -> tuple[str, str]:
    """Read code and message from an error in DigitalOcean's format or in Cloudflare's."""
    try:
        body = json.loads(text)
        if errors := body.get("errors"):
            return str(errors[0].get("code", "")), _one_line(errors[0].get("message", ""))
        return str(body.get("id", "")), _one_line(body.get("message", ""))
    except (ValueError, AttributeError, LookupError, TypeError):
        return "", ""


def _one_line(reason: object) -> str:
    """Put a server's message on one line, without characters that control a terminal."""
    return "".join(letter for letter in " ".join(str(reason).split()) if letter.isprintable())[:200]
