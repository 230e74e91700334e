"""Rate limits of tokens: DigitalOcean's by the hour and the minute, and refusals in bursts."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile

HOUR, MINUTE = 3600, 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """Result of counting a call."""

    allowed: bool
    headers: Mapping[str, str]
    message: str = ""
    """Reason for a refusal, in DigitalOcean's words."""


class RateLimit:
    """Sliding windows over one token's calls. A call that is refused does not count."""

    def __init__(self) -> None:
        self._calls: deque[float] = deque()
        self._lock = threading.Lock()

    def spend(self, an_hour: int, a_minute: int) -> Spent:
        """Count a call against both limits."""
        moment = time.time()
        with self._lock:
            while self._calls and self._calls[0] <= moment - HOUR:
                self._calls.popleft()
            recent = list(takewhile(lambda at: at > moment - MINUTE, reversed(self._calls)))
            message, reset = "", (self._calls[0] if self._calls else moment) + HOUR
            if len(self._calls) >= an_hour:
                message = "API Rate limit exceeded."
            elif len(recent) >= a_minute:
                message, reset = "Too many requests", (recent[-1] if recent else moment) + MINUTE
            if message:
                return Spent(allowed=False, headers=_headers(an_hour, 0, reset, moment), message=message)
            self._calls.append(moment)
            # When the oldest call is forgotten, one more may be made.
            return Spent(allowed=True, headers=_headers(an_hour, an_hour - len(self._calls), self._calls[0] + HOUR))


def _headers(limit: int, remaining: int, reset: float, refused_at: float | None = None) -> dict[str, str]:
    headers = {
        "ratelimit-limit": str(limit),
        "ratelimit-remaining": str(remaining),
        "ratelimit-reset": str(int(reset) + 1),
    }
    return headers if refused_at is None else {**headers, "retry-after": str(max(1, round(reset - refused_at)))}


class Throttle:
    """Refusal of some calls in a row, after so many that were accepted."""

    def __init__(self) -> None:
        self._calls = 0
        self._lock = threading.Lock()

    def refuses(self, every: int, calls: int) -> bool:
        """Count a call, and say whether it is refused. With `every` 0, no call is refused."""
        with self._lock:
            if not every:
                self._calls = 0
                return False
            self._calls += 1
            return (self._calls - 1) % (every + calls) >= every
