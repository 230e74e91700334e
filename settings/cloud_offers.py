"""Check of a stack against DigitalOcean's offer, before any resource is registered."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pulumi
import pulumi_digitalocean as digitalocean

from model.past import Past
from model.topology import Topology
from settings.mistakes import SettingsError
from settings.offers import TABLE, Droplet, Host, Offers, PoolLike, judge


def check(*, topology: Topology, pools: Sequence[PoolLike], region: str, image: str, past: Past) -> None:
    """Warn about doubtful settings, and refuse those that DigitalOcean does not offer.

    Raises pulumi.RunError, which the engine shows as a message without a traceback.
    """
    offers = _offers()
    hosts = Host.all_of(topology)
    judged = partial(
        judge,
        offers=offers,
        region=region,
        image=image,
        pools=pools,
        hosts=hosts,
        disks={host.private_name: host.disk_gib for host in past.hosts},
    )
    verdict = judged()
    if verdict.mistakes:  # only then is the call for the existing droplets needed
        verdict = judged(existing=_droplets())
    for warning in verdict.warnings:
        pulumi.log.warn(str(warning))
    if verdict.mistakes:
        raise pulumi.RunError(str(SettingsError(verdict.mistakes)))


def _offers() -> Offers:
    """Ask for sizes and regions, with the stack's token.

    If they cannot be read (no network, a token without the rights), Triplane's own table is used: a preview must not
    depend on the answer.
    """
    try:
        sizes, regions = digitalocean.get_sizes(), digitalocean.get_regions()
    except Exception as error:  # noqa: BLE001 - the SDK raises nothing narrower
        pulumi.log.warn(
            "DigitalOcean could not be asked for its sizes and regions, so Triplane's own table, which may be older, "
            f"stands in: {_first_line(error)}"
        )
        return TABLE
    return Offers.told(sizes.sizes, regions.regions)


def _droplets() -> list[Droplet]:
    """List the account's droplets; none if they cannot be listed."""
    try:
        found = digitalocean.get_droplets().droplets
    except Exception as error:  # noqa: BLE001 - the SDK raises nothing narrower
        pulumi.log.warn(f"DigitalOcean could not be asked which droplets exist: {_first_line(error)}")
        return []
    return [Droplet(name=each.name, size=each.size, region=each.region) for each in found]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
