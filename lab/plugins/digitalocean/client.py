"""The DigitalOcean API v2, and waiting for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from lab.plugins.api import Api, ApiError
from lab.plugins.resource import Call, CancelledError, PluginError


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """Seconds between the official plugin's polls."""

    first: float = 10.0
    then: float = 3.0
    retry: float = 1.0
    """Before the first retry of a request."""
    busy: float = 0.5
    """Before the first retry of a deletion of something that is still in use."""


class OverdueError(PluginError):
    """Something has not reached its target state in time."""


class UnexpectedError(PluginError):
    """Something has reached a state that is neither the target nor on the way to it."""

    def __init__(self, message: str, seen: str) -> None:
        super().__init__(message)
        self.seen = seen


class Client:
    """Client of the API."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._api: Api | None = None

    def configure(self, url: str, token: str | None, retries: int | None) -> None:
        """Set the address, token and number of retries."""
        self._api = Api(
            url=url.rstrip("/"),
            token=token or "",
            agent="pulumi-digitalocean (stand-in)",
            retries=4 if retries is None else retries,
            first_wait=self.pace.retry,
        )

    def get(self, path: str, call: Call) -> Any:  # noqa: ANN401 - JSON
        """GET."""
        return self.request("GET", path, None, call)

    def find(self, path: str, call: Call) -> Any:  # noqa: ANN401 - JSON
        """GET, or None where there is no such thing."""
        try:
            return self.get(path, call)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def post(self, path: str, body: object, call: Call) -> Any:  # noqa: ANN401 - JSON
        """POST."""
        return self.request("POST", path, body, call)

    def put(self, path: str, body: object, call: Call) -> Any:  # noqa: ANN401 - JSON
        """PUT."""
        return self.request("PUT", path, body, call)

    def delete(self, path: str, call: Call, body: object = None) -> None:
        """DELETE."""
        self.request("DELETE", path, body, call)

    def remove(self, what: str, path: str, call: Call) -> None:
        """DELETE a resource; one that no longer exists is an error, as in the official plugin."""
        try:
            self.delete(path, call)
        except ApiError as error:
            raise ApiError(f"Error deleting {what}: {error}", error.status) from None

    def request(self, method: str, path: str, body: object, call: Call) -> Any:  # noqa: ANN401 - JSON
        """Make a call; an answer with an error raises an error."""
        if self._api is None or not self._api.token:
            raise PluginError(
                "no DigitalOcean token: set it with `pulumi config set --secret digitalocean:token` or in "
                "DIGITALOCEAN_TOKEN"
            )
        return self._ask(self._api, method, path, body, call)

    @staticmethod
    def _ask(api: Api, method: str, path: str, body: object, call: Call) -> Any:  # noqa: ANN401 - JSON
        reply = api.request(method, path, body, cancelled=call.cancelled)
        if reply.status < 400:
            return reply.body
        answer = reply.body if isinstance(reply.body, dict) else {}
        request = f' (request "{answer["request_id"]}")' if answer.get("request_id") else ""
        message = answer.get("message") or "no message"
        raise ApiError(f"{method} {api.url}{path}: {reply.status}{request} {message}", reply.status)

    def wait(
        self,
        look: Callable[[], str | None],
        *,
        target: str,
        pending: Collection[str],
        deadline: float,
        what: str,
        call: Call,
    ) -> None:
        """Call `look` until it returns `target`; None means unknown, and a value outside `pending` is an error."""
        pause = self.pace.first
        while True:
            if call.cancelled.wait(pause):
                raise CancelledError(f"cancelled while waiting for {what} to become {target!r}")
            seen = look()
            if seen == target:
                return
            if seen is not None and seen not in pending:
                raise UnexpectedError(f"{what}: unexpected state {seen!r}, wanted target {target!r}", seen)
            if time.monotonic() > deadline:
                raise OverdueError(
                    f"{what}: timeout while waiting for state to become {target!r} (last state: {seen!r})"
                )
            pause = self.pace.then


def segment(name: str) -> str:
    """Write a name as a segment of a path."""
    return quote(name, safe="")


def deadline(call: Call, default: float) -> float:
    """Return the deadline of a step, by the program's custom timeout or the plugin's own."""
    return time.monotonic() + (call.timeout or default)
