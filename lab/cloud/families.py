"""The two APIs as seen from HTTP: where each lives, whom it lets in, and how it says no."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Protocol

from pydantic import ValidationError

from lab.cloud import cloudflare, digitalocean
from lab.cloud.calls import Answer, Routes
from lab.cloud.cloudflare.envelope import failure
from lab.cloud.errors import ApiError, CloudflareError, MalformedBodyError
from lab.cloud.limits import RateLimit
from lab.cloud.tokens import bearer, same
from lab.machines import MachineError

LOG = logging.getLogger(__name__)


class Family(Protocol):
    """One of the two APIs."""

    prefix: str
    routes: Routes

    def admit(self, authorization: str | None, path: str, request_id: str) -> tuple[Answer | None, Mapping[str, str]]:
        """Say why a call may not go on, if it may not; and the headers that its answer carries."""

    def refuse(self, error: Exception, request_id: str) -> Answer:
        """Put a failure into this API's words."""

    def stray(self, status: int, path: str, request_id: str) -> Answer:
        """Answer a call to a path (404) or with a method (405) that this API does not have."""


class DigitalOcean:
    """api.digitalocean.com."""

    prefix = ""
    routes = digitalocean.ROUTES

    def __init__(self, token: str, calls_an_hour: int) -> None:
        self._token = token
        self._account = RateLimit(calls_an_hour)
        self._strangers = RateLimit(calls_an_hour)

    def admit(self, authorization: str | None, path: str, request_id: str) -> tuple[Answer | None, Mapping[str, str]]:
        """Check the token, then the rate limit."""
        del path
        known = same(bearer(authorization), self._token)
        allowed, headers = (self._account if known else self._strangers).spend()
        if not allowed:
            return _error(429, "too_many_requests", "API Rate limit exceeded.", request_id), headers
        if not known:
            return _error(401, "unauthorized", "Unable to authenticate you", request_id), headers
        return None, headers

    def refuse(self, error: Exception, request_id: str) -> Answer:
        """Put a failure into DigitalOcean's words."""
        match error:
            case ApiError():
                answer = _error(error.status, error.kind, str(error), request_id)
                return Answer(status=answer.status, body={**(answer.body or {}), **error.extra})
            case MalformedBodyError():
                return _error(400, "bad_request", str(error), request_id)
            case ValidationError():
                return _error(422, "unprocessable_entity", _fields(error), request_id)
            case MachineError():
                LOG.error("%s", error)
                return _error(500, "server_error", str(error), request_id)
        LOG.error("unexpected", exc_info=error)
        return _error(500, "server_error", "Unexpected server-side error: see the lab's log", request_id)

    def stray(self, status: int, path: str, request_id: str) -> Answer:
        """Answer what there is no route for."""
        if status == 405:
            return _error(405, "method_not_allowed", f"{path} does not take this method", request_id)
        return _error(404, "not_found", "The resource you were accessing could not be found.", request_id)


class Cloudflare:
    """api.cloudflare.com."""

    prefix = "/client/v4"
    routes = cloudflare.ROUTES

    def __init__(self, token: str) -> None:
        self._token = token

    def admit(self, authorization: str | None, path: str, request_id: str) -> tuple[Answer | None, Mapping[str, str]]:
        """Check the token."""
        del request_id
        shown = bearer(authorization)
        if shown is None:
            return failure(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers"), {}
        if not shown:
            chain = ((6111, "Invalid format for Authorization header"),)
            return failure(400, 6003, "Invalid request headers", chain), {}
        if not same(shown, self._token):
            if path.endswith("/user/tokens/verify"):
                return failure(401, 1000, "Invalid API Token"), {}
            return failure(401, 10000, "Authentication error"), {}
        return None, {}

    def refuse(self, error: Exception, request_id: str) -> Answer:
        """Put a failure into Cloudflare's words."""
        del request_id
        match error:
            case CloudflareError():
                return failure(error.status, error.code, str(error), error.chain)
            case MalformedBodyError():
                return failure(400, 9207, f"Failed to parse JSON body: {error}")
            case ValidationError():
                return failure(400, 1004, "DNS Validation Error", ((1004, _fields(error)),))
        LOG.error("unexpected", exc_info=error)
        return failure(500, 7500, "Unexpected server-side error: see the lab's log")

    def stray(self, status: int, path: str, request_id: str) -> Answer:
        """Answer what there is no route for."""
        del request_id
        if status == 405:
            return failure(405, 10405, "Method not allowed for this endpoint.")
        return failure(404, 7000, f"No route for that URI: {path}")


def _error(status: int, kind: str, message: str, request_id: str) -> Answer:
    return Answer(status=status, body={"id": kind, "message": message, "request_id": request_id})


def _fields(error: ValidationError) -> str:
    """Name each field and what is wrong with it, without repeating values: user data may be among them."""
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'body'}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False, include_context=False)
    )
