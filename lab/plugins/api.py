"""A cloud's HTTP API, as the plugins speak it: JSON both ways, a bearer token, retries where the API asks for them."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from email.message import Message
from threading import Event
from typing import Any, Final
from urllib.parse import urlsplit

from lab.plugins.resource import CancelledError, PluginError

RETRIED: Final = frozenset({429, 500, 502, 503, 504})
TIMEOUT: Final = 60.0
LONGEST_WAIT: Final = 30.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; `body` is an empty dict where there was none."""

    status: int
    headers: Message
    body: Any


class ApiError(PluginError):
    """The API refused a request."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, kw_only=True, slots=True)
class Api:
    """One API: its address, and the client's token and name."""

    url: str
    token: str
    agent: str
    retries: int = 4
    first_wait: float = 1.0
    """Seconds before the first retry; each further one waits twice as long."""

    def request(self, method: str, path: str, body: object = None, *, cancelled: Event) -> Reply:
        """Send a request, and repeat it if the API is busy, broken or unreachable for a moment."""
        wait = self.first_wait
        for left in range(self.retries, -1, -1):
            try:
                reply = self._once(method, path, body)
            except (OSError, http.client.HTTPException) as error:
                if left == 0:
                    raise PluginError(f"{method} {self.url}{path}: no answer from the API: {error}") from None
            else:
                if reply.status not in RETRIED or left == 0:
                    return reply
                wait = max(wait, float(reply.headers.get("retry-after") or 0))
            if cancelled.wait(min(wait, LONGEST_WAIT)):
                break
            wait *= 2
        raise CancelledError(f"{method} {self.url}{path}: cancelled")

    def _once(self, method: str, path: str, body: object) -> Reply:
        parts = urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.netloc, timeout=TIMEOUT)
        headers = {"authorization": f"Bearer {self.token}", "accept": "application/json", "user-agent": self.agent}
        data = None
        if body is not None:
            data = json.dumps(body)
            headers["content-type"] = "application/json"
        try:
            connection.request(method, f"{parts.path}{path}", data, headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        try:
            content = json.loads(text) if text else {}
        except ValueError:
            content = {"message": text.decode(errors="replace")[:200]}
        return Reply(answer.status, answer.headers, content)
