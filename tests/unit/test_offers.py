"""What is said of sizes, regions and images: from DigitalOcean's own lists, and from Triplane's table without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from model.digitalocean import SIZES
from model.roles import Role
from settings.offers import TABLE, Droplet, Host, Offers, judge


@dataclass(frozen=True)
class Pool:
    name: str = "k8s"
    roles: tuple[Role, ...] = (Role.ETCD, Role.KUBE_MASTER)
    size: str = "s-2vcpu-4gb"
    image: str | None = None


EVERYWHERE = ["ams3", "fra1", "nyc3"]
API = Offers(
    sizes=SIZES,
    regions={
        **{region: [slug for slug in SIZES if (region, slug) != ("nyc3", "s-2vcpu-4gb")] for region in EVERYWHERE},
        "nyc2": [],
    },
    from_api=True,
)
HOSTS = [
    Host(names=frozenset({f"k8s-{number}.example.com", f"k8s-{number}.internal.example.com"}), pool="k8s")
    for number in range(3)
]


def told(
    *,
    offers: Offers = API,
    region: str = "fra1",
    of_stack: str = "debian-12-x64",
    existing: Sequence[Droplet] = (),
    **pool: Any,
) -> tuple[list[str], list[str]]:
    verdict = judge(offers=offers, region=region, image=of_stack, pools=[Pool(**pool)], hosts=HOSTS, existing=existing)
    return [str(each) for each in verdict.mistakes], [str(each) for each in verdict.warnings]


def droplets(size: str = "s-2vcpu-4gb", region: str = "nyc3", count: int = 3, internal: str = "") -> list[Droplet]:
    return [Droplet(name=f"k8s-{number}{internal}.example.com", size=size, region=region) for number in range(count)]


def test_a_size_that_is_offered_is_fine() -> None:
    assert told() == ([], [])
    assert told(offers=TABLE) == ([], [])


def test_a_size_not_offered_here_is_refused_with_alternatives() -> None:
    assert told(region="nyc3") == (
        [
            (
                'triplane:pools[0].size = "s-2vcpu-4gb" is not offered in nyc3 now. Write e.g. s-2vcpu-4gb-amd, '
                "s-2vcpu-4gb-intel or s-2vcpu-4gb-120gb-intel, or take a region that has it: ams3 or fra1."
            )
        ],
        [],
    )


def test_a_size_sold_out_everywhere_still_allows_other_sizes() -> None:
    sold_out = replace(API, regions={"fra1": [slug for slug in SIZES if slug != "s-2vcpu-4gb"]})
    [line], _ = told(offers=sold_out)
    assert line.endswith("is not offered in fra1 now. Write e.g. s-2vcpu-4gb-amd, s-2vcpu-4gb-intel or "
                         "s-2vcpu-4gb-120gb-intel.")  # fmt: skip


def test_hosts_that_exist_need_no_offer() -> None:
    mistakes, [warning] = told(region="nyc3", existing=droplets())
    assert mistakes == []
    assert warning.endswith("The hosts that exist stay as they are, but none of them could be made again.")
    assert told(region="nyc3", existing=droplets(internal=".internal")) == (mistakes, [warning])


@pytest.mark.parametrize(
    "existing",
    [droplets(count=2), droplets(size="s-1vcpu-2gb"), droplets(region="ams3")],
    ids=["two", "size", "region"],
)
def test_a_new_resized_or_moved_host_needs_an_offered_size(existing: list[Droplet]) -> None:
    mistakes, warnings = told(region="nyc3", existing=existing)
    assert len(mistakes) == 1
    assert warnings == []


def test_a_size_that_digitalocean_does_not_have_is_refused() -> None:
    assert told(size="s-2vpcu-4gb")[0] == [
        (
            'triplane:pools[0].size = "s-2vpcu-4gb" is not a size of DigitalOcean. Did you mean s-2vcpu-4gb? '
            "`doctl compute size list` has all."
        )
    ]


def test_a_new_size_that_the_api_has_is_taken_without_a_word() -> None:
    new = replace(API, sizes=SIZES | {"x-9vcpu-9gb": SIZES["c-4"]}, regions={"fra1": ["x-9vcpu-9gb"]})
    assert told(offers=new, size="x-9vcpu-9gb") == ([], [])


def test_the_apis_own_memory_counts() -> None:
    small = replace(API, sizes=SIZES | {"x-tiny": SIZES["s-1vcpu-512mb-10gb"]}, regions={"fra1": [*SIZES, "x-tiny"]})
    assert told(offers=small, size="x-tiny")[0] == [
        (
            'triplane:pools[0].size = "x-tiny" is too small: kube-master needs 2 GiB of memory, it has 0.5. '
            "Write s-1vcpu-2gb or larger."
        )
    ]


def test_an_unknown_region_is_refused_with_the_open_regions() -> None:
    assert told(region="fra2")[0] == [
        'triplane:region = "fra2" is not a region of DigitalOcean. Did you mean fra1? Write ams3, fra1 or nyc3.'
    ]


def test_a_region_closed_to_the_account_is_refused_for_new_hosts() -> None:
    [line], warnings = told(region="nyc2")
    assert line.startswith('triplane:region = "nyc2" takes no new droplets of this account.')
    assert warnings == []
    mistakes, warnings = told(region="nyc2", existing=droplets(region="nyc2"))
    assert mistakes == []
    assert len(warnings) == 1


def test_without_the_api_unknown_values_are_warned_not_refused() -> None:
    assert told(offers=TABLE, region="fra2") == (
        [],
        ['triplane:region = "fra2" is not in Triplane\'s table of regions. Did you mean fra1? DigitalOcean decides.'],
    )
    assert told(offers=TABLE, size="s-2vpcu-4gb") == (
        [],
        [
            (
                'triplane:pools[0].size = "s-2vpcu-4gb" is not in Triplane\'s table of sizes. '
                "Did you mean s-2vcpu-4gb? DigitalOcean decides."
            )
        ],
    )
    mistakes, [warning] = told(offers=TABLE, region="nyc3")
    assert mistakes == []
    assert "was not offered in nyc3 when Triplane's table was written. Write e.g. s-2vcpu-4gb-amd" in warning


def test_a_pool_without_hosts_needs_no_offer() -> None:
    verdict = judge(offers=API, region="fra1", image="debian-12-x64", pools=[Pool(size="gone")], hosts=[])
    assert (verdict.mistakes, verdict.warnings) == ((), ())


def test_an_image_unknown_to_the_setup_gets_a_warning() -> None:
    assert told(of_stack="debian-13-x64", image="ubuntu-24-04-x64") == ([], [])
    advice = "is not an image that Triplane knows. Did you mean debian-13-x64? Hosts need systemd, cloud-init and apt."
    assert told(of_stack="debian-13") == ([], [f'triplane:image = "debian-13" {advice}'])
    assert told(image="debian-13") == ([], [f'triplane:pools[0].image = "debian-13" {advice}'])
