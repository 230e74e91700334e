"""Waiting for the signal that ends a process."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable


def asked_to_stop() -> Callable[[], None]:
    """Take SIGINT and SIGTERM from now on; return a function that waits for the first of them.

    The handler writes to a pipe. It must not set a threading.Event: it runs in the thread that waits, and hangs for
    ever if that thread has the event's lock at that time.
    """
    reader, writer = os.pipe()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os.write(writer, b"."))

    def wait() -> None:
        os.read(reader, 1)

    return wait
