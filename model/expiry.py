"""Ends of certificates, and the `up` that comes in time to renew them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from model.certificates import Authority

NOTICE = timedelta(days=30)
"""Time between a warning and the end of a certificate; half of its life, if that is shorter."""

Ends = Mapping[str, datetime]
"""Certificate, by its name → its end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lifetimes:
    """Lives of certificates, and the last part of each, in which an `up` renews it; in hours."""

    ca_hours: int
    leaf_hours: int
    renew_hours: int
    """Renewal window of a leaf: the longest time between two runs of `up`."""

    @property
    def ca_renew_hours(self) -> int:
        """Renewal window of an authority: no leaf that an `up` has left as it is outlives it."""
        return self.leaf_hours + self.renew_hours

    def window(self, name: str) -> timedelta:
        """Return a certificate's renewal window."""
        return timedelta(hours=self.ca_renew_hours if name in set(Authority) else self.renew_hours)

    def notice(self, name: str) -> timedelta:
        """Return the time before a certificate's end from which it is warned of."""
        return min(NOTICE, timedelta(hours=self.ca_hours if name in set(Authority) else self.leaf_hours) / 2)


def ended(ends: Ends, now: datetime) -> dict[str, datetime]:
    """Find the certificates that have ended, the first one first."""
    return dict(_sorted((name, end) for name, end in ends.items() if end <= now))


def too_early(ends: Ends, lifetimes: Lifetimes, now: datetime) -> dict[str, datetime]:
    """Find the certificates that end soon and that an `up` of today does not renew, the first one first."""
    return dict(
        _sorted(
            (name, end)
            for name, end in ends.items()
            if now < end and lifetimes.window(name) < end - now < lifetimes.notice(name)
        )
    )


def warnings(ends: Ends, lifetimes: Lifetimes | None, now: datetime) -> Iterator[str]:
    """Say which certificates have ended, and which no `up` of today renews in time; None if nobody knows lifetimes."""
    if gone := ended(ends, now):
        name, end = next(iter(gone.items()))
        yield (
            f"{_count(len(gone), 'has ended', 'have ended')}, the first of them {name}, on {_day(end)}: the cluster "
            "refuses clients and members. An `up` renews them all and brings it back."
        )
    if lifetimes is not None and (soon := too_early(ends, lifetimes, now)):
        name, end = next(iter(soon.items()))
        window = lifetimes.window(name)
        yield (
            f"{_count(len(soon), 'ends', 'end')} soon, the first of them {name}, on {_day(end)}, and an `up` of today "
            f"does not renew it: it is renewed only in its last {window / timedelta(hours=1):.0f} hours. Run `up` "
            f"again between {_day(end - window)} and then, or set a larger triplane:certificates.renewHours."
        )


def _sorted(found: Iterator[tuple[str, datetime]]) -> list[tuple[str, datetime]]:
    return sorted(found, key=lambda each: (each[1], each[0]))


def _count(number: int, one: str, more: str) -> str:
    return f"1 certificate {one}" if number == 1 else f"{number} certificates {more}"


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
