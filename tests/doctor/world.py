"""A server that plays 1.1.1.1: it tells callers their address, and who serves a zone."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

from doctor.outside import Outside

NO_SUCH_NAME = 3


@dataclass
class World:
    """What it answers."""

    address: str = "203.0.113.7"
    name_servers: dict[str, list[str]] = field(default_factory=dict)
    broken: bool = False
    asked: list[str] = field(default_factory=list)

    def start(self) -> None:
        self._server = HTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"world": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def outside(self) -> Outside:
        outside = Outside.at(self.url)
        outside.page.pause = outside.dns.pause = 0.01
        return outside

    def answer(self, path: str, query: dict[str, list[str]], accept: str) -> tuple[int, str]:
        if self.broken:
            return 503, "no"
        if path == "/cdn-cgi/trace":
            return 200, f"fl=1\nh=1.1.1.1\nip={self.address}\nts=1\n"
        if path == "/dns-query" and accept == "application/dns-json" and query["type"] == ["NS"]:
            zone = query["name"][0]
            found = [{"name": zone, "type": 2, "TTL": 60, "data": data} for data in self.name_servers.get(zone, [])]
            return 200, json.dumps({"Status": 0, "Answer": found} if found else {"Status": NO_SUCH_NAME})
        return 400, "what?"


class Handler(BaseHTTPRequestHandler):
    world: World

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.world.asked.append(url.path)
        status, text = self.world.answer(url.path, parse_qs(url.query), self.headers.get("Accept", ""))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_arguments: object) -> None:
        pass
