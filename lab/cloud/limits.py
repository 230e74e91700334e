"""DigitalOcean's rate limit: so many calls in any hour, counted for real."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping

HOUR = 3600
CALLS_AN_HOUR = 5000


class RateLimit:
    """A sliding window over one client's calls."""

    def __init__(self, limit: int = CALLS_AN_HOUR, window: float = HOUR) -> None:
        self._limit = limit
        self._window = window
        self._calls: deque[float] = deque()
        self._lock = threading.Lock()

    def spend(self) -> tuple[bool, Mapping[str, str]]:
        """Count a call: whether it may go on, and the headers of its answer."""
        moment = time.time()
        with self._lock:
            while self._calls and self._calls[0] <= moment - self._window:
                self._calls.popleft()
            allowed = len(self._calls) < self._limit
            if allowed:
                self._calls.append(moment)
            # When the oldest call is forgotten, one more is to be had.
            reset = (self._calls[0] if self._calls else moment) + self._window
            headers = {
                "ratelimit-limit": str(self._limit),
                "ratelimit-remaining": str(self._limit - len(self._calls)),
                "ratelimit-reset": str(int(reset) + 1),
            }
        return allowed, headers if allowed else {**headers, "retry-after": str(max(1, round(reset - moment)))}
