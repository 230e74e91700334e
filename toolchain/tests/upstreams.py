"""A release server on this machine's loopback, as good or as bad as a test wants it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Behaviour = Callable[["Handler", bytes], None]


@dataclass
class Server:
    """What it serves, how it behaves, and what it was asked."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    """Path → content."""
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    """Path → how it is answered, instead of well."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path and Range of each request."""
    closing: threading.Event = field(default_factory=threading.Event)

    def ranges(self, path: str) -> list[str]:
        """List the ranges that a file was asked for; empty for all of it."""
        return [asked for name, asked in self.asked if name == path]


class Handler(BaseHTTPRequestHandler):
    """One request, answered as the server's behaviour for its path has it."""

    protocol_version = "HTTP/1.1"
    served: Server

    def do_GET(self) -> None:
        self.served.asked.append((self.path, self.headers.get("Range", "")))
        self.close_connection = True
        if self.path not in self.served.files:
            self.answer(404, b"not found")
            return
        self.served.behaviours.get(self.path, Handler.well)(self, self.served.files[self.path])

    def answer(self, status: int, content: bytes, *, length: int | None = None, **headers: str) -> None:
        """Send an answer whose header may promise more than comes."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        with suppress(OSError):  # the client has hung up
            self.end_headers()
            self.wfile.write(content)

    def well(self, content: bytes) -> None:
        """Serve the file, or the rest of it that is asked for."""
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if not start:
            self.answer(200, content)
        elif start >= len(content):
            self.answer(416, b"")
        else:
            self.answer(206, content[start:], Content_Range=f"bytes {start}-{len(content) - 1}/{len(content)}")

    def half(self, content: bytes) -> None:
        """Break off in the middle, every time."""
        self.answer(200, content[: len(content) // 2], length=len(content))

    def half_once(self, content: bytes) -> None:
        """Break off in the middle, the first time."""
        if len(self.served.ranges(self.path)) > 1:
            self.well(content)
        else:
            self.half(content)

    def whole_again(self, content: bytes) -> None:
        """Break off the first time, and know no ranges after that."""
        if len(self.served.ranges(self.path)) > 1:
            self.answer(200, content)
        else:
            self.half(content)

    def drip(self, content: bytes) -> None:
        """Send a byte at a time, far too slowly, until the client hangs up."""
        self.answer(200, b"", length=len(content))
        for byte in content:
            if self.served.closing.wait(0.02):
                return
            try:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
            except OSError:
                return

    def silence(self, _content: bytes) -> None:
        """Never answer."""
        self.served.closing.wait(60)

    def login(self, _content: bytes) -> None:
        """Answer like a captive portal."""
        self.answer(200, b"<html>log in</html>", Content_Type="text/html; charset=utf-8")

    def forbidden(self, _content: bytes) -> None:
        """Answer like a proxy with a rule against it."""
        self.answer(403, b"<html>blocked</html>", Content_Type="text/html")

    def overloaded_once(self, content: bytes) -> None:
        """Be there at the second try."""
        if len(self.served.ranges(self.path)) > 1:
            self.well(content)
        else:
            self.answer(503, b"")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server for as long as a test lasts."""

    class Bound(Handler):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Bound) as listening:
        Bound.served = server = Server(f"http://127.0.0.1:{listening.server_port}")
        threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.closing.set()
        listening.shutdown()
