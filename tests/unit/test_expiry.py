"""Warnings before certificates end that no `up` renews in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from model import expiry, past
from model.certificates import Authority
from model.expiry import Lifetimes
from settings.load import parse
from tests.unit.test_changes import STACK, outputs_of

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
YEAR = Lifetimes(ca_hours=87_600, leaf_hours=8_760, renew_hours=2_880)


def told(lifetimes: Lifetimes | None, **days: float) -> list[str]:
    """The warnings about certificates that end in so many days."""
    ends = {name.replace("_", "-"): NOW + timedelta(days=left) for name, left in days.items()}
    return list(expiry.warnings(ends, lifetimes, NOW))


@pytest.mark.parametrize("days", [400, 121, 100, 29, 0.1])
def test_what_an_up_of_today_renews_or_need_not_is_no_warning(days: float) -> None:
    assert told(YEAR, admin=days) == []


def test_a_certificate_that_today_renews_too_early_is_warned_of() -> None:
    narrow = Lifetimes(ca_hours=87_600, leaf_hours=8_760, renew_hours=48)
    assert told(narrow, admin=31, other=1.9) == []
    (line,) = told(narrow, admin=29, other=2.5)
    assert line == (
        "2 certificates end soon, the first of them other, on 2026-12-01 00:00 UTC, and an `up` of today does not "
        "renew it: it is renewed only in its last 48 hours. Run `up` again between 2026-11-29 00:00 UTC and then, "
        "or set a larger triplane:certificates.renewHours."
    )


def test_short_lives_are_warned_of_in_their_second_half_alone() -> None:
    hours = Lifetimes(ca_hours=1_000, leaf_hours=240, renew_hours=24)
    assert told(hours, admin=5.1) == []
    assert len(told(hours, admin=4.9)) == 1
    assert told(Lifetimes(ca_hours=1_000, leaf_hours=240, renew_hours=120), admin=5.1, other=4.9) == []


def test_an_authority_has_a_window_that_every_leaf_fits_in() -> None:
    assert YEAR.window(Authority.KUBERNETES) == timedelta(hours=8_760 + 2_880)
    assert YEAR.window("admin") == timedelta(hours=2_880)
    assert told(YEAR, kubernetes_ca=20) == []


def test_what_has_ended_is_told_even_of_an_unknown_stack() -> None:
    (line,) = told(None, admin=-1, other=300, kubernetes_ca=-0.5)
    assert line == (
        "2 certificates have ended, the first of them admin, on 2026-11-27 12:00 UTC: the cluster refuses clients and "
        "members. An `up` renews them all and brings it back."
    )


def test_the_past_has_the_ends_of_certificates() -> None:
    outputs = outputs_of(parse(STACK)) | {"certificates": {"admin": "2027-11-21T00:00:00Z"}}
    assert past.read(outputs).certificates == {"admin": datetime(2027, 11, 21, tzinfo=UTC)}
    assert past.read(outputs | {"certificates": {"admin": "never"}}).unreadable
