"""A recorder in front of the lab's API: which calls a plugin makes, in order, and with what."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lab.tests.cloud.service import Service


@dataclass
class Recorder:
    """Passes everything through to an application, and remembers it."""

    app: ASGIApp
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    """Method, path, and body (None where there is none)."""

    @classmethod
    def before(cls, service: Service) -> Recorder:
        recorder = cls(service.cloud.app)
        service.cloud = dataclasses.replace(service.cloud, app=recorder)  # type: ignore[arg-type]
        return recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        content, more = b"", True
        while more:
            message = await receive()
            content += message.get("body", b"")
            more = message.get("more_body", False)
        # before there is an answer: who has it may look here at once
        self.requests.append((scope["method"], scope["path"], json.loads(content) if content else None))

        async def again() -> Message:
            return {"type": "http.request", "body": content, "more_body": False}

        await self.app(scope, again, send)

    def take(self) -> list[str]:
        """Tell what was asked since the last time: method and path, ids as ID, repeated looks as one."""
        taken: list[str] = []
        for method, path, _ in self.requests:
            line = f"{method} {re.sub(r'(?<=/)([0-9]+|[0-9a-f]{32}|[0-9a-f-]{36})(?=/|$)', 'ID', path)}"
            if not (taken and taken[-1] == line and method == "GET"):
                taken.append(line)
        self.requests.clear()
        return taken

    def body(self, method: str) -> Any:
        """Give the body of the last call of that method."""
        return [body for asked, _, body in self.requests if asked == method][-1]
