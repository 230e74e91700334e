"""DigitalOcean's paging: `page` and `per_page` in, `links.pages` and `meta.total` out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from lab.cloud.errors import ApiError
from lab.cloud.messages import ApiRequest, ApiResponse

Item = TypeVar("Item")

PER_PAGE, MOST_PER_PAGE = 20, 200


def paged(
    call: ApiRequest, key: str, items: Sequence[Item], render: Callable[[Item], Mapping[str, Any]]
) -> ApiResponse:
    """Answer with the page that was asked for; only its items are rendered."""
    page = whole_number(call.query, "page", 1)
    size = min(whole_number(call.query, "per_page", PER_PAGE), MOST_PER_PAGE)
    last = max(1, -(-len(items) // size))
    shown = items[(page - 1) * size : page * size]
    return ApiResponse(
        body={
            key: [render(item) for item in shown],
            "links": _links(call, page, last),
            "meta": {"total": len(items)},
        }
    )


def whole_number(query: Mapping[str, str], name: str, default: int) -> int:
    """Read a positive number from the query."""
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise ApiError(400, "bad_request", f"{name} must be a whole number above 0, not {text!r}")
    return int(text)


def _links(call: ApiRequest, page: int, last: int) -> dict[str, dict[str, str]]:
    pages: dict[str, int] = {}
    if page > 1:
        pages |= {"first": 1, "prev": min(page - 1, last)}
    if page < last:
        pages |= {"next": page + 1, "last": last}
    if not pages:
        return {}
    urls = {
        name: f"{call.base}{call.url_path}?{urlencode({**call.query, 'page': number})}"
        for name, number in pages.items()
    }
    return {"pages": urls}
