"""The event loop of all SSH connections; the engine's calls come in other threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError as FutureCancelledError
from typing import Any, TypeVar

from lab.plugins.resource import CancelledError

T = TypeVar("T")


class Worker:
    """Runner of coroutines for other threads; its own thread starts with the first coroutine."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def run(self, work: Coroutine[object, object, T]) -> T:
        """Run a coroutine and wait for its result, or for `close`."""
        with self._lock:
            loop = self._started()
        try:
            return asyncio.run_coroutine_threadsafe(self._kept(work), loop).result()
        except FutureCancelledError:
            raise CancelledError("cut off before it was done") from None

    def close(self) -> None:
        """End all that is running, and the thread."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop:
            asyncio.run_coroutine_threadsafe(self._end(), loop)

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=_serve, args=(self._loop,), name="ssh", daemon=True).start()
        return self._loop

    async def _end(self) -> None:
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        asyncio.get_running_loop().stop()

    async def _kept(self, work: Coroutine[object, object, T]) -> T:
        task = asyncio.current_task()
        assert task  # every coroutine of a loop runs in one
        self._tasks.add(task)
        try:
            return await work
        finally:
            self._tasks.discard(task)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()
