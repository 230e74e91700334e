"""The account: each check with a good case and a bad one, against the lab's API."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from doctor import digitalocean
from doctor.digitalocean import DROPLET, READ_SCOPES, VPC, reader
from doctor.findings import State
from doctor.reading import Reader
from doctor.stack import Stack
from lab.cloud.tokens import Account as Api
from lab.cloud.tokens import grant
from lab.tests.cloud.service import Account as Customer
from lab.tests.cloud.service import Service
from settings.accounts import DIGITALOCEAN, Account
from tests.doctor.altered import Altered
from tests.doctor.conftest import SETTINGS, MakeStack, in_a_hurry


def test_a_right_token_is_accepted(stack: Stack, ocean: Reader) -> None:
    found = digitalocean.token(stack, ocean)
    assert found.state is State.OK
    assert "accepts digitalocean:token, of team Lab" in str(found)


def test_a_revoked_token_is_told_with_where_to_make_one(make_stack: MakeStack) -> None:
    wrong = f"dop_v1_{'f' * 64}"
    stack = make_stack(ocean=wrong)
    found = digitalocean.token(stack, reader(stack.digitalocean))
    assert found.state is State.WRONG
    assert "does not accept" in found.found
    assert "pulumi config set --secret digitalocean:token" in found.advice
    assert wrong not in str(found)


def test_an_api_that_does_not_answer_is_told(stack: Stack) -> None:
    nobody = Account(
        provider=DIGITALOCEAN, token="t", source="digitalocean:token", readable=False, endpoint="http://127.0.0.1:1"
    )
    found = digitalocean.token(stack, in_a_hurry(reader(nobody)))
    assert found.state is State.WRONG
    assert "127.0.0.1:1 does not answer: [Errno 111] Connection refused" in found.found


def test_a_token_with_all_rights_reads_every_kind(stack: Stack, ocean: Reader) -> None:
    found = digitalocean.rights(stack, ocean)
    assert found.state is State.OK
    assert "create, update and delete of droplet, firewall, ssh_key, tag, vpc cannot be proved" in found.found


@pytest.mark.parametrize("scope", READ_SCOPES)
def test_each_right_that_lacks_is_named(make_stack: MakeStack, service: Service, scope: str) -> None:
    stack = make_stack(ocean=grant(service.directory, Api.DIGITALOCEAN, [*{*READ_SCOPES} - {scope}]))
    ocean = reader(stack.digitalocean)
    found = digitalocean.rights(stack, ocean)
    assert found.state is State.WRONG
    assert scope in found.found  # sizes are not read without regions
    assert digitalocean.token(stack, ocean).state is State.OK  # it is the token of someone


def test_the_clocks_agree(stack: Stack, ocean: Reader) -> None:
    assert digitalocean.clock(stack, ocean).state is State.OK


@pytest.mark.parametrize(("seconds", "how"), [(1000, "s ahead of 127.0.0.1"), (-1000, "s behind 127.0.0.1")])
def test_a_clock_that_is_wrong_is_told(
    stack: Stack, ocean: Reader, monkeypatch: pytest.MonkeyPatch, seconds: int, how: str
) -> None:
    real = time.time
    monkeypatch.setattr("doctor.reading.time", SimpleNamespace(time=lambda: real() + seconds, sleep=time.sleep))
    found = digitalocean.clock(stack, ocean)
    assert found.state is State.WRONG
    assert how in found.found


@pytest.mark.parametrize(
    ("change", "state", "said"),
    [
        ({}, State.OK, "Active"),
        ({"email_verified": False}, State.WRONG, "not verified"),
        ({"status": "locked", "status_message": "unpaid"}, State.WRONG, "locked (unpaid)"),
        ({"status": "warning"}, State.NOTE, "warning"),
    ],
)
def test_an_account_that_may_make_nothing_is_told(
    stack: Stack, ocean: Reader, lab: Altered, change: dict[str, Any], state: State, said: str
) -> None:
    lab.changes["/v2/account"] = lambda body: body["account"].update(change)
    found = digitalocean.status(stack, ocean)
    assert found.state is state
    assert said in found.found


def test_the_limit_counts_what_is_there_and_what_is_new(
    make_stack: MakeStack, ocean: Reader, customer: Customer, service: Service
) -> None:
    customer.droplet("of-another")
    own = customer.droplet(f"etcd-0.{make_stack().settings.domain}")
    service.switch(droplet_limit=6)
    found = digitalocean.limit(make_stack(made={DROPLET: {str(own)}}), ocean)
    assert (found.state, found.found) == (
        State.OK,
        "The account may have 6 droplets and has 2; this stack makes 4 more.",
    )


def test_too_low_a_limit_is_told(stack: Stack, ocean: Reader, customer: Customer, service: Service) -> None:
    customer.droplet("of-another")
    service.switch(droplet_limit=5)
    found = digitalocean.limit(stack, ocean)
    assert found.state is State.WRONG
    assert "may have 5 droplets and has 1; this stack makes 5 more" in found.found


def test_a_region_that_offers_the_sizes_is_well(stack: Stack, ocean: Reader) -> None:
    found = digitalocean.offer(stack, ocean)
    assert (found.state, found.found) == (State.OK, "fra1 takes new droplets, and offers s-1vcpu-1gb, s-1vcpu-2gb.")


def test_a_size_that_a_region_never_had_is_told(make_stack: MakeStack, ocean: Reader) -> None:
    pools = [{"name": "all", "roles": ["etcd", "kube-master"], "count": 3, "size": "s-2vcpu-4gb"}]
    found = digitalocean.offer(make_stack(region="nyc3", pools=pools), ocean)
    assert found.state is State.WRONG
    assert 'triplane:pools[0].size = "s-2vcpu-4gb" is not offered in nyc3 now. Write e.g. ' in found.found


def test_a_size_that_is_too_small_is_told(make_stack: MakeStack, ocean: Reader, lab: Altered) -> None:
    def shrink(body: dict[str, Any]) -> None:
        next(each for each in body["sizes"] if each["slug"] == "s-1vcpu-2gb")["memory"] = 512

    lab.changes["/v2/sizes"] = shrink
    found = digitalocean.offer(make_stack(), ocean)
    assert found.state is State.WRONG
    assert "triplane:pools[1].size" in found.found
    assert "is too small" in found.found


def test_hosts_that_exist_need_no_offer(make_stack: MakeStack, ocean: Reader, lab: Altered, customer: Customer) -> None:
    pools = [{"name": "all", "roles": ["etcd", "kube-master"], "count": 1, "size": "s-1vcpu-2gb"}]
    stack = make_stack(pools=pools)
    customer.droplet(stack.topology.hosts[0].fqdn, size="s-1vcpu-2gb")
    lab.changes["/v2/regions"] = lambda body: change_region(body, sizes=["s-1vcpu-1gb"])
    found = digitalocean.offer(stack, ocean)
    assert found.state is State.NOTE
    assert "none of them could be made again" in found.found


def change_region(body: dict[str, Any], **values: Any) -> None:
    next(each for each in body["regions"] if each["slug"] == "fra1").update(values)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"available": False}, 'triplane:region = "fra1" takes no new droplets'),
        ({"slug": "fra9"}, 'triplane:region = "fra1" is not a region'),
        ({"sizes": ["s-1vcpu-2gb"]}, '"s-1vcpu-1gb" is not offered in fra1 now'),
    ],
)
def test_a_region_that_is_closed_or_lacks_a_size_is_told(
    stack: Stack, ocean: Reader, lab: Altered, values: dict[str, Any], said: str
) -> None:
    lab.changes["/v2/regions"] = lambda body: change_region(body, **values)
    found = digitalocean.offer(stack, ocean)
    assert found.state is State.WRONG
    assert said in found.found


def test_a_size_that_is_sold_out_everywhere_is_told(stack: Stack, ocean: Reader, lab: Altered) -> None:
    def sell_out(body: dict[str, Any]) -> None:
        next(each for each in body["sizes"] if each["slug"] == "s-1vcpu-2gb")["available"] = False

    lab.changes["/v2/sizes"] = sell_out
    found = digitalocean.offer(stack, ocean)
    assert found.state is State.WRONG
    assert 'triplane:pools[1].size = "s-1vcpu-2gb"' in found.found


def test_an_image_of_the_region_is_found(stack: Stack, ocean: Reader) -> None:
    assert digitalocean.image(stack, ocean).state is State.OK


def test_an_image_from_which_no_pool_boots_is_nobodys_trouble(make_stack: MakeStack, ocean: Reader) -> None:
    pools = [{**pool, "image": "debian-13-x64"} for pool in SETTINGS["pools"]]
    found = digitalocean.image(make_stack(image="ubuntu-22-04-x64", pools=pools), ocean)
    assert (found.state, found.found) == (State.OK, "debian-13-x64 is in fra1.")


def test_an_image_that_is_gone_is_told(make_stack: MakeStack, ocean: Reader) -> None:
    found = digitalocean.image(make_stack(image="ubuntu-22-04-x64"), ocean)
    assert found.state is State.WRONG
    assert "triplane:image = ubuntu-22-04-x64 is not an image of DigitalOcean" in found.found


@pytest.mark.parametrize(
    ("own", "state", "said"),
    [
        (("ubuntu-22-04-x64", None), State.WRONG, "triplane:pools[0].image = ubuntu-22-04-x64 is not an image"),
        (("debian-13-x64", None), State.OK, "debian-13-x64 is in fra1. debian-12-x64 is in fra1."),
    ],
)
def test_the_images_of_pools_are_looked_for(
    make_stack: MakeStack, ocean: Reader, own: tuple[str | None, ...], state: State, said: str
) -> None:
    pools = [
        {**pool, **({"image": image} if image else {})} for pool, image in zip(SETTINGS["pools"], own, strict=True)
    ]
    found = digitalocean.image(make_stack(pools=pools), ocean)
    assert found.state is state
    assert said in found.found


@pytest.mark.parametrize(
    ("change", "said"),
    [({"status": "retired"}, "is retired"), ({"regions": ["nyc3", "ams3"]}, "It is in ams3 or nyc3")],
)
def test_an_image_that_cannot_be_had_there_is_told(
    stack: Stack, ocean: Reader, lab: Altered, change: dict[str, Any], said: str
) -> None:
    lab.changes["/v2/images/debian-12-x64"] = lambda body: body["image"].update(change)
    found = digitalocean.image(stack, ocean)
    assert found.state is State.WRONG
    assert said in str(found)


def test_a_range_that_is_free_is_well(stack: Stack, ocean: Reader, customer: Customer) -> None:
    customer.vpc("10.99.0.0/20")
    found = digitalocean.vpc_range(stack, ocean)
    assert found.state is State.OK
    assert "10.240.0.0/20 is free" in found.found


def test_a_range_that_is_taken_is_told(make_stack: MakeStack, ocean: Reader, customer: Customer) -> None:
    vpc = customer.vpc("10.240.8.0/24", name="theirs")
    found = digitalocean.vpc_range(make_stack(), ocean)
    assert found.state is State.WRONG
    assert "VPC theirs, 10.240.8.0/24 in fra1" in found.found
    assert digitalocean.vpc_range(make_stack(made={VPC: {vpc}}), ocean).state is State.OK


def test_a_region_without_a_vpc_is_told(stack: Stack, ocean: Reader, service: Service) -> None:
    service.switch(fresh_regions=["fra1"])
    found = digitalocean.default_vpc(stack, ocean)
    assert found.state is State.WRONG
    assert "doctl vpcs create --name default-fra1 --region fra1" in found.advice


def test_a_region_with_a_default_vpc_is_well(stack: Stack, ocean: Reader) -> None:
    found = digitalocean.default_vpc(stack, ocean)
    assert (found.state, found.found) == (State.OK, "fra1 has default-fra1.")


def test_a_cluster_in_a_default_vpc_is_told_how_to_destroy_it(
    make_stack: MakeStack, ocean: Reader, customer: Customer, service: Service
) -> None:
    service.switch(fresh_regions=["fra1"])
    vpc = customer.vpc("10.240.0.0/20", name="prod")
    found = digitalocean.default_vpc(make_stack(made={VPC: {vpc}}), ocean)
    assert found.state is State.NOTE
    assert "doctl vpcs update ID --default=true" in found.advice


def test_nothing_in_the_way_is_well(make_stack: MakeStack, ocean: Reader, customer: Customer) -> None:
    vpc = customer.vpc("10.240.0.0/20", name="prod")
    customer.droplet("of-another")
    assert digitalocean.names(make_stack(made={VPC: {vpc}}), ocean).state is State.OK


def test_what_an_earlier_cluster_left_is_told(make_stack: MakeStack, ocean: Reader, customer: Customer) -> None:
    stack = make_stack()
    vpc = customer.vpc("10.240.0.0/20", name="prod")
    droplet = customer.droplet(stack.topology.hosts[0].fqdn)
    customer.client.tags.create({"name": "prod-etcd"})
    tagged = customer.droplet("other", tags=["prod-etcd"])
    wall = customer.client.firewalls.create(
        {
            "name": "prod-etcd",
            "inbound_rules": [{"protocol": "tcp", "ports": "22", "sources": {"addresses": ["203.0.113.7/32"]}}],
            "outbound_rules": [],
        }
    )["firewall"]["id"]
    found = digitalocean.names(stack, ocean)
    assert found.state is State.WRONG
    for left in (vpc, droplet, tagged, wall):
        assert str(left) in found.found


def test_a_list_of_many_pages_is_read_to_its_end(
    ocean: Reader, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doctor.reading.PER_PAGE", 2)
    made = {f"net{number}" for number in range(3)}
    for number, name in enumerate(sorted(made)):
        customer.vpc(f"10.{101 + number}.0.0/20", name=name)
    assert made <= {vpc["name"] for vpc in ocean.pages("/v2/vpcs", "vpcs")}
