"""The socket between the command stand-in, which is the engine's process, and the world, which is the test's."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A command that the engine runs. It has no secret: of a file on stdin it has a digest."""

    name: str
    """The resource's name in the program."""
    act: str
    """create, update or delete."""
    text: str
    host: str
    """Address or name that is dialled."""
    host_key: str
    """Public key that the host must show."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Path of a file on stdin → digest of its content."""
    droplet: str = ""
    """Id of the droplet that the step is about, which comes on stdin."""
    on_droplet: str = ""
    """Id of the droplet that the step runs on, which the first line on stdin says."""


class RefusedError(Exception):
    """The step failed on its host; the message is what the engine shows."""


def ask(path: str, step: Step) -> str:
    """Run a step in the world; return what it prints."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(path)
        line.sendall(json.dumps(asdict(step)).encode() + b"\n")
        with line.makefile() as answers:
            answer = json.loads(answers.readline())
    if answer["refused"]:
        raise RefusedError(answer["refused"])
    return str(answer["said"])


@contextmanager
def listening(path: Path, run: Callable[[Step], str]) -> Iterator[None]:
    """Let `run` answer each step; it may be called by several threads at a time."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            step = Step(**json.loads(self.rfile.readline()))
            answer = {"said": "", "refused": ""}
            try:
                answer["said"] = run(step)
            except RefusedError as error:
                answer["refused"] = str(error)
            except Exception as error:  # noqa: BLE001 - the test that started the engine shows it
                answer["refused"] = f"an error of the world itself: {error!r}"
            self.wfile.write(json.dumps(answer).encode() + b"\n")

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True
        request_queue_size = 256

    with Server(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            path.unlink()
