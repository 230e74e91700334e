"""Sizes that DigitalOcean offers in each region, and checks of a stack's pools against them.

The offer comes from DigitalOcean's API, or from Triplane's own table if the API does not answer. The API's answer can
refuse a stack before anything is created; the table may be out of date, so it only warns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Protocol

from model.digitalocean import IMAGES, LEAST_MEMORY_GIB, NOT_OFFERED, REGIONS, SIZES, Size
from model.roles import Role
from model.topology import Topology
from settings.mistakes import Mistake, one_of

MIB_A_GIB = 1024
MOST_NAMED = 3
"""Maximum number of sizes to name instead of one that is not offered: the line must be short enough to read."""


class PoolLike(Protocol):
    """The part of a pool that is checked."""

    @property
    def name(self) -> str:
        """Name of the pool."""

    @property
    def roles(self) -> tuple[Role, ...]:
        """Roles of its hosts."""

    @property
    def size(self) -> str:
        """The droplets' size slug."""

    @property
    def image(self) -> str | None:
        """Image of its hosts; None for the stack's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """A droplet that a stack wants; a change of `cloudController` renames it from one of `names` to another."""

    names: frozenset[str]
    pool: str

    @classmethod
    def all_of(cls, topology: Topology) -> list[Host]:
        """All droplets of a topology, with both names."""
        return [cls(names=frozenset({host.fqdn, host.private_name}), pool=host.pool) for host in topology.hosts]


@dataclass(frozen=True, kw_only=True, slots=True)
class Droplet:
    """A droplet that the account has."""

    name: str
    size: str
    region: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Offers:
    """Sizes by slug, and the slugs that each region has for new droplets; a closed region has none."""

    sizes: Mapping[str, Size]
    regions: Mapping[str, Collection[str]]
    from_api: bool
    """True if the API answered, false if this is Triplane's own table."""

    @classmethod
    def told(cls, sizes: Iterable[Any], regions: Iterable[Any]) -> Offers:
        """Read the API's answer: sizes and regions with the API's attribute names."""
        for_sale = {size.slug: size for size in sizes if size.available}
        return cls(
            sizes={
                slug: Size(
                    vcpus=int(size.vcpus),
                    memory_gib=size.memory / MIB_A_GIB,
                    disk_gib=int(size.disk),
                    usd_a_month=size.price_monthly,
                )
                for slug, size in for_sale.items()
            },
            regions={
                region.slug: [slug for slug in region.sizes if slug in for_sale] if region.available else []
                for region in regions
            },
            from_api=True,
        )

    def near(self, size: str, region: str) -> list[str]:
        """Name the cheapest sizes of a region with at least the CPUs and the memory of this one."""
        wanted = self.sizes[size]
        enough = [
            slug
            for slug in self.regions[region]
            if slug in self.sizes
            and self.sizes[slug].vcpus >= wanted.vcpus
            and self.sizes[slug].memory_gib >= wanted.memory_gib
        ]
        return sorted(enough, key=lambda slug: (self.sizes[slug].usd_a_month, slug))[:MOST_NAMED]


TABLE = Offers(
    sizes=SIZES,
    regions={region: [slug for slug in SIZES if slug not in NOT_OFFERED.get(region, ())] for region in REGIONS},
    from_api=False,
)
"""Triplane's own table, for use without the API."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Mistakes that stop a stack, and warnings."""

    mistakes: tuple[Mistake, ...] = ()
    warnings: tuple[Mistake, ...] = ()


def too_small(pool: PoolLike, sizes: Mapping[str, Size]) -> str | None:
    """Say that a pool's size has too little memory for its roles, and which one of `sizes` has enough."""
    size = sizes.get(pool.size)
    hungriest = max(pool.roles, key=LEAST_MEMORY_GIB.__getitem__)
    least = LEAST_MEMORY_GIB[hungriest]
    if size is None or size.memory_gib >= least:
        return None
    enough = min(
        (slug for slug, each in sizes.items() if each.memory_gib >= least), key=lambda slug: sizes[slug].usd_a_month
    )
    return (
        f"is too small: {hungriest} needs {least} GiB of memory, it has {size.memory_gib:g}. Write {enough} or larger."
    )


def judge(
    *,
    offers: Offers,
    region: str,
    image: str,
    pools: Sequence[PoolLike],
    hosts: Sequence[Host],
    existing: Collection[Droplet] = (),
    disks: Mapping[str, int] | None = None,
) -> Verdict:
    """Check a stack against the offer, and against the disks of its hosts: droplet → GiB.

    A droplet that exists needs no offer: if its size is sold out, or its region is closed, it stays and only cannot be
    made again. `existing` may have other droplets of the account too.
    """
    there = {(droplet.name, droplet.size) for droplet in existing if droplet.region == region}
    mistakes: list[Mistake] = []
    warnings = list(_unknown_images(image, pools))

    def tell(setting: str, value: str, problem: str, *, new: bool) -> None:
        refused = offers.from_api and new
        advice = "" if new else " The hosts that exist stay as they are, but none of them could be made again."
        found = Mistake(setting=setting, value=value, problem=problem + advice)
        (mistakes if refused else warnings).append(found)

    if not offers.regions.get(region):
        names = {name for name, _ in there}
        new = any(names.isdisjoint(host.names) for host in hosts)
        tell("triplane:region", region, _region_problem(region, offers), new=new)
        return Verdict(mistakes=tuple(mistakes), warnings=tuple(warnings))
    for position, pool in enumerate(pools):
        where = f"triplane:pools[{position}].size"
        wanted = [host for host in hosts if host.pool == pool.name]
        new = any(there.isdisjoint((name, pool.size) for name in host.names) for host in wanted)
        if wanted and (problem := _size_problem(pool.size, region, offers)):
            tell(where, pool.size, problem, new=new)
        elif wanted and offers.from_api and (problem := too_small(pool, offers.sizes)):
            tell(where, pool.size, problem, new=True)
        elif problem := _disk_problem(pool.size, wanted, disks or {}, offers):
            mistakes.append(Mistake(setting=where, value=pool.size, problem=problem))
    return Verdict(mistakes=tuple(mistakes), warnings=tuple(warnings))


def _unknown_images(image: str, pools: Sequence[PoolLike]) -> Iterator[Mistake]:
    """Warn about images that the host setup is not written for; the API has hundreds of these."""
    images = {"triplane:image": image} | {f"triplane:pools[{n}].image": pool.image for n, pool in enumerate(pools)}
    for setting, value in images.items():
        if value is not None and value not in IMAGES:
            meant = _meant(value, IMAGES)
            problem = f"is not an image that Triplane knows.{meant} Hosts need systemd, cloud-init and apt."
            yield Mistake(setting=setting, value=value, problem=problem)


def _region_problem(region: str, offers: Offers) -> str:
    if not offers.from_api:
        return f"is not in Triplane's table of regions.{_meant(region, REGIONS)} DigitalOcean decides."
    open_ = sorted(slug for slug, sizes in offers.regions.items() if sizes)
    wrong = "takes no new droplets of this account" if region in offers.regions else "is not a region of DigitalOcean"
    return f"{wrong}.{_meant(region, open_)} Write {one_of(open_)}."


def _size_problem(size: str, region: str, offers: Offers) -> str | None:
    here = offers.regions[region]
    if size in here:
        return None
    if size not in offers.sizes:
        where = "a size of DigitalOcean" if offers.from_api else "in Triplane's table of sizes"
        decides = " `doctl compute size list` has all." if offers.from_api else " DigitalOcean decides."
        return f"is not {where}.{_meant(size, here)}{decides}"
    near = offers.near(size, region)
    elsewhere = sorted(slug for slug, sizes in offers.regions.items() if size in sizes)
    ways = [f"Write e.g. {one_of(near)}"] if near else []
    ways += [f"take a region that has it: {one_of(elsewhere)}"] if elsewhere else []
    advice = ", or ".join(ways) or "Write another size"
    when = "is not offered in {} now" if offers.from_api else "was not offered in {} when Triplane's table was written"
    return f"{when.format(region)}. {advice[0].upper()}{advice[1:]}."


def _disk_problem(size: str, hosts: Iterable[Host], disks: Mapping[str, int], offers: Offers) -> str | None:
    """DigitalOcean refuses to shrink a disk after it has powered the droplet off (POST /v2/droplets/ID/actions)."""
    disk = offers.sizes[size].disk_gib if size in offers.sizes else None
    largest = max(((disks[name], name) for host in hosts for name in host.names if name in disks), default=None)
    if disk is None or largest is None or disk >= largest[0]:
        return None
    return (
        f"has a disk of {disk} GiB, but {largest[1]} has one of {largest[0]} GiB, and a disk cannot shrink. "
        f"Write a size with {largest[0]} GiB or more; or make a new pool of this size, and take this one out."
    )


def _meant(value: str, known: Collection[str]) -> str:
    close = get_close_matches(value, known, n=1)
    return f" Did you mean {close[0]}?" if close else ""
