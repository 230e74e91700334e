"""Refusals of the APIs: one exception per dialect, rendered by `lab.cloud.app` in that dialect's shape."""

from __future__ import annotations


class ApiError(Exception):
    """A refusal in DigitalOcean's shape: `{"id": …, "message": …, "request_id": …}`."""

    def __init__(self, status: int, kind: str, message: str, **extra: object) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.extra = extra


class CloudflareError(Exception):
    """A refusal in Cloudflare's shape: `{"success": false, "errors": [{"code": …, "message": …}]}`."""

    def __init__(self, status: int, code: int, message: str, *, chain: tuple[tuple[int, str], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.chain = chain


class MalformedBodyError(Exception):
    """A request whose body is not a JSON object."""


def not_found() -> ApiError:
    """404, in DigitalOcean's words."""
    return ApiError(404, "not_found", "The resource you were accessing could not be found.")


def unprocessable(message: str) -> ApiError:
    """422: the request is understood, but it cannot be fulfilled."""
    return ApiError(422, "unprocessable_entity", message)


def conflict(message: str) -> ApiError:
    """409: the request conflicts with something that exists."""
    return ApiError(409, "conflict", message)


def forbidden(message: str) -> ApiError:
    """403."""
    return ApiError(403, "forbidden", message)
