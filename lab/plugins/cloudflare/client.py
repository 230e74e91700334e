"""The Cloudflare API v4."""

from __future__ import annotations

from typing import Any

from lab.plugins.api import Api, ApiError
from lab.plugins.resource import Call, PluginError

RETRIES = 2


class Client:
    """Client of the API."""

    def __init__(self, retry: float) -> None:
        self._retry = retry
        self._api: Api | None = None

    def configure(self, url: str, token: str | None) -> None:
        """Set the address and token."""
        self._api = Api(
            url=url.rstrip("/"),
            token=token or "",
            agent="pulumi-cloudflare (stand-in)",
            retries=RETRIES,
            first_wait=self._retry,
        )

    def request(self, method: str, path: str, call: Call, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """Make a call and return its result; an answer with an error raises an error."""
        if self._api is None or not self._api.token:
            raise PluginError(
                "no Cloudflare token: set it with `pulumi config set --secret cloudflare:apiToken` or in "
                "CLOUDFLARE_API_TOKEN"
            )
        reply = self._api.request(method, path, body, cancelled=call.cancelled)
        content = reply.body if isinstance(reply.body, dict) else {}
        if reply.status < 400 and content.get("success", True):
            return content.get("result")
        errors = "; ".join(f"{each.get('message')} ({each.get('code')})" for each in content.get("errors") or [])
        raise ApiError(f'{method} "{self._api.url}{path}": {reply.status} {errors or "no message"}', reply.status)
