"""The two APIs over HTTP: the path, the authentication and the errors of each."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import ValidationError

from lab.cloud import cloudflare, digitalocean
from lab.cloud.cloudflare.envelope import failure
from lab.cloud.errors import ApiError, CloudflareError, MalformedBodyError
from lab.cloud.messages import ApiResponse, Routes
from lab.cloud.rate_limit import RateLimit, Throttle
from lab.cloud.tokens import Grants, bearer
from lab.faults import Switches
from lab.interfaces import MachineError

LOG = logging.getLogger(__name__)


def _everything(_scope: str) -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class Admission:
    """Result of the checks before a call is routed."""

    refusal: ApiResponse | None = None
    """Reason for a refusal."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of its answer in any case."""
    allowed: Callable[[str], bool] = _everything
    """True if its token has a scope."""


class ApiDialect(Protocol):
    """One of the two APIs."""

    prefix: str
    routes: Routes

    def admit(self, authorization: str | None, path: str, request_id: str) -> Admission:
        """Check token and limits."""

    def scopes(self, method: str, path: str) -> Collection[str]:
        """Name the scopes that a route asks for, by its template."""

    def forbidden(self, request_id: str) -> ApiResponse:
        """Answer a call whose token lacks a scope."""

    def refuse(self, error: Exception, request_id: str) -> ApiResponse:
        """Answer with this API's error for a failure."""

    def unmatched(self, status: int, path: str, request_id: str) -> ApiResponse:
        """Answer a call to a path (404) or with a method (405) that this API does not have."""


class DigitalOcean:
    """api.digitalocean.com."""

    prefix = ""
    routes = digitalocean.ROUTES

    def __init__(self, grants: Grants, switches: Switches) -> None:
        self._grants = grants
        self._switches = switches
        self._limits: defaultdict[str, RateLimit] = defaultdict(RateLimit)
        self._throttles: defaultdict[str, Throttle] = defaultdict(Throttle)

    def admit(self, authorization: str | None, path: str, request_id: str) -> Admission:
        """Check the rate limit of the token, then the token. All invalid tokens share one limit."""
        del path
        grant, faults = self._grants.of(bearer(authorization)), self._switches.now()
        whose = grant.token if grant else ""
        spent = self._limits[whose].spend(faults.calls_an_hour, faults.calls_a_minute)
        if not spent.allowed:
            refusal = _error(429, "too_many_requests", spent.message, request_id)
            return Admission(refusal=refusal, headers=spent.headers)
        if grant is None:
            refusal = _error(401, "unauthorized", "Unable to authenticate you", request_id)
            return Admission(refusal=refusal, headers=spent.headers)
        if self._throttles[whose].refuses(faults.throttled_every, faults.throttled_calls):
            refusal = _error(429, "too_many_requests", "Too many requests", request_id)
            return Admission(refusal=refusal, headers={**spent.headers, "retry-after": "1"})
        return Admission(headers=spent.headers, allowed=grant.has)

    def scopes(self, method: str, path: str) -> Collection[str]:
        """Name a route's scopes, as in the published description of the API."""
        return digitalocean.scopes.needed(method, path)

    def forbidden(self, request_id: str) -> ApiResponse:
        """Answer a call whose token lacks a scope."""
        return _error(403, "forbidden", digitalocean.scopes.NOT_AUTHORIZED, request_id)

    def refuse(self, error: Exception, request_id: str) -> ApiResponse:
        """Answer with DigitalOcean's error for a failure."""
        match error:
            case ApiError():
                answer = _error(error.status, error.kind, str(error), request_id)
                return ApiResponse(status=answer.status, body={**(answer.body or {}), **error.extra})
            case MalformedBodyError():
                return _error(400, "bad_request", str(error), request_id)
            case ValidationError():
                return _error(422, "unprocessable_entity", _fields(error), request_id)
            case MachineError():
                LOG.error("%s", error)
                return _error(500, "server_error", str(error), request_id)
        LOG.error("unexpected", exc_info=error)
        return _error(500, "server_error", "Unexpected server-side error: see the lab's log", request_id)

    def unmatched(self, status: int, path: str, request_id: str) -> ApiResponse:
        """Answer a call that has no route."""
        if status == 405:
            return _error(405, "method_not_allowed", f"{path} does not take this method", request_id)
        return _error(404, "not_found", "The resource you were accessing could not be found.", request_id)


class Cloudflare:
    """api.cloudflare.com."""

    prefix = "/client/v4"
    routes = cloudflare.ROUTES

    def __init__(self, grants: Grants, switches: Switches) -> None:
        self._grants = grants
        self._switches = switches
        self._throttles: defaultdict[str, Throttle] = defaultdict(Throttle)

    def admit(self, authorization: str | None, path: str, request_id: str) -> Admission:
        """Check the token."""
        del request_id
        shown = bearer(authorization)
        if shown is None:
            return Admission(refusal=failure(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers"))
        if not shown:
            chain = ((6111, "Invalid format for Authorization header"),)
            return Admission(refusal=failure(400, 6003, "Invalid request headers", chain))
        grant, faults = self._grants.of(shown), self._switches.now()
        if grant is None:
            if path.endswith("/user/tokens/verify"):
                return Admission(refusal=failure(401, 1000, "Invalid API Token"))
            return Admission(refusal=failure(401, 10000, "Authentication error"))
        if self._throttles[grant.token].refuses(faults.throttled_every, faults.throttled_calls):
            refusal = failure(429, 971, "Please wait and consider throttling your request speed")
            return Admission(refusal=refusal, headers={"retry-after": "1"})
        return Admission(allowed=grant.has)

    def scopes(self, method: str, path: str) -> Collection[str]:
        """Name the permission that a route needs. Reading zones needs none; without permission, the list is empty."""
        if "/dns_records" not in path:
            return ()
        return (cloudflare.READ_RECORDS,) if method == "GET" else (cloudflare.EDIT_RECORDS,)

    def forbidden(self, request_id: str) -> ApiResponse:
        """Answer a call whose token lacks a permission."""
        del request_id
        return failure(403, 10000, "Authentication error")

    def refuse(self, error: Exception, request_id: str) -> ApiResponse:
        """Answer with Cloudflare's error for a failure."""
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

    def unmatched(self, status: int, path: str, request_id: str) -> ApiResponse:
        """Answer a call that has no route."""
        del request_id
        if status == 405:
            return failure(405, 10405, "Method not allowed for this endpoint.")
        return failure(404, 7000, f"No route for that URI: {path}")


def _error(status: int, kind: str, message: str, request_id: str) -> ApiResponse:
    return ApiResponse(status=status, body={"id": kind, "message": message, "request_id": request_id})


def _fields(error: ValidationError) -> str:
    """Name each field and what is wrong with it, without repeating values: user data may be among them."""
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'body'}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False, include_context=False)
    )
