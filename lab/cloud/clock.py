"""The time as the two APIs write it."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """Give the time in DigitalOcean's form: UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def precise_now() -> str:
    """Give the time in Cloudflare's form: UTC, microseconds."""
    return precise(datetime.now(UTC))


def precise(moment: datetime) -> str:
    """Write a time in Cloudflare's form; such texts sort as their times do."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
