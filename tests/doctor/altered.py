"""The lab's API with some of its answers changed, for what the lab has no switch for."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lab.tests.cloud.service import Service

Change = Callable[[Any], object]


@dataclass
class Altered:
    """Passes everything through to the lab; remembers what was asked; changes answers on the way back."""

    app: ASGIApp
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each call."""
    refusals: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    """Path → status and body to answer with."""
    times: dict[str, int] = field(default_factory=dict)
    """Path → how often it is refused; for ever where it is not here."""
    changes: dict[str, Change] = field(default_factory=dict)
    """Path → what to do to the body."""

    @classmethod
    def before(cls, service: Service) -> Altered:
        altered = cls(service.cloud.app)
        service.cloud = dataclasses.replace(service.cloud, app=altered)  # type: ignore[arg-type]
        return altered

    def refuse(self, path: str, status: int, code: str = "Forbidden", message: str = "You are not authorized") -> None:
        """Answer a call as DigitalOcean does where it says no."""
        self.refusals[path] = (status, {"id": code, "message": message, "request_id": "0"})

    def refuse_zone(self, path: str, status: int, code: int, message: str) -> None:
        """Answer a call as Cloudflare does where it says no."""
        errors = [{"code": code, "message": message}]
        self.refusals[path] = (status, {"success": False, "errors": errors, "messages": [], "result": None})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        self.asked.append((scope["method"], path))
        if path in self.refusals and self.times.setdefault(path, -1) != 0:
            self.times[path] -= 1
            status, body = self.refusals[path]
            limits = {"ratelimit-limit": "1", "ratelimit-remaining": "1", "ratelimit-reset": "1", "x-request-id": "0"}
            await JSONResponse(body, status_code=status, headers=limits)(scope, receive, send)
        elif path in self.changes:
            await self._changed(self.changes[path], scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _changed(self, change: Change, scope: Scope, receive: Receive, send: Send) -> None:
        start: Message = {}
        content = b""

        async def hold(message: Message) -> None:
            nonlocal start, content
            if message["type"] == "http.response.start":
                start = message
            else:
                content += message.get("body", b"")

        await self.app(scope, receive, hold)
        body = json.loads(content)
        change(body)
        text = json.dumps(body).encode()
        headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
        start["headers"] = [*headers, (b"content-length", str(len(text)).encode())]
        await send(start)
        await send({"type": "http.response.body", "body": text})
