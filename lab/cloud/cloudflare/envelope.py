"""Envelope of every Cloudflare answer, and its paging."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from lab.cloud.errors import CloudflareError
from lab.cloud.messages import ApiRequest, ApiResponse

Item = TypeVar("Item")


def result(value: object, *, messages: Sequence[Mapping[str, Any]] = (), **more: object) -> ApiResponse:
    """Answer with one thing."""
    return ApiResponse(body={"result": value, "success": True, "errors": [], "messages": list(messages), **more})


def failure(status: int, code: int, message: str, chain: Sequence[tuple[int, str]] = ()) -> ApiResponse:
    """Answer with an error."""
    error: dict[str, Any] = {"code": code, "message": message}
    if chain:
        error["error_chain"] = [{"code": number, "message": text} for number, text in chain]
    return ApiResponse(status=status, body={"result": None, "success": False, "errors": [error], "messages": []})


def paged(
    call: ApiRequest, items: Sequence[Item], render: Callable[[Item], object], *, default: int, most: int
) -> ApiResponse:
    """Answer with a page of a list; like Cloudflare, refuse page sizes that are not supported."""
    page, size = _number(call, "page", 1, 1_000_000), _number(call, "per_page", default, most)
    shown = items[(page - 1) * size : page * size]
    info = {
        "page": page,
        "per_page": size,
        "count": len(shown),
        "total_count": len(items),
        "total_pages": -(-len(items) // size),
    }
    return result([render(item) for item in shown], result_info=info)


def _number(call: ApiRequest, name: str, default: int, most: int) -> int:
    text = call.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
        raise CloudflareError(400, 1004, f"Invalid {name}: a whole number from 1 to {most}, not {text!r}")
    return int(text)
