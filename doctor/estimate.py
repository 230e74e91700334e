"""Cost of a stack, and time of its first `up`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from doctor.reading import Reader, ReadError
from doctor.stack import Stack
from model.digitalocean import SIZES

BILLED_HOURS = 672
"""Hours of a month after which a droplet costs its monthly price, and no more (DigitalOcean, "Droplet Pricing")."""

MINUTES = (6, 11)
"""A first `up`, least and most. All hosts are made side by side: 2 to 2.5 minutes for creation, boot and two steps.
Then 0.5 GB are downloaded on each master, and the services start. Estimated from reports about real droplets; no test
has run on a real account."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """In US dollars, without tax and traffic."""

    a_month: float
    an_hour: float
    source: str
    unpriced: tuple[str, ...] = ()
    """Sizes without a known price; the sums do not include them."""


def cost(stack: Stack, cloud: Reader | None) -> Cost:
    """Add up the droplets' prices: DigitalOcean's current ones, or those that Triplane knows."""
    prices = _todays(cloud)
    source = (
        "the list prices that Triplane knows" if cloud is None or prices is None else f"today's prices of {cloud.host}"
    )
    prices = prices or _known()
    counts = {pool.size: 0 for pool in stack.settings.pools}
    for pool in stack.settings.pools:
        counts[pool.size] += pool.count
    priced = {size: count for size, count in counts.items() if size in prices}
    return Cost(
        a_month=sum(count * prices[size][0] for size, count in priced.items()),
        an_hour=sum(count * prices[size][1] for size, count in priced.items()),
        source=source,
        unpriced=tuple(size for size, count in counts.items() if count and size not in prices),
    )


def _todays(cloud: Reader | None) -> Mapping[str, tuple[float, float]] | None:
    if cloud is None:
        return None
    try:
        sizes: list[dict[str, Any]] = list(cloud.pages("/v2/sizes", "sizes"))
    except ReadError:
        return None
    return {size["slug"]: (float(size["price_monthly"]), float(size["price_hourly"])) for size in sizes}


def _known() -> Mapping[str, tuple[float, float]]:
    return {slug: (float(size.usd_a_month), size.usd_a_month / BILLED_HOURS) for slug, size in SIZES.items()}
