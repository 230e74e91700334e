"""The way to the hosts: each check with a good case and a bad one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

import pytest

from doctor import reach
from doctor.findings import State
from doctor.reading import Reader
from doctor.stack import Stack
from lab.tests.cloud.service import Account as Customer
from tests.doctor.conftest import MakeStack
from tests.doctor.world import World

DROPLET = "digitalocean:index/droplet:Droplet"


def test_the_public_address_is_compared_with_the_settings(stack: Stack, world: World) -> None:
    found = reach.address(stack, None, world.outside)
    assert found.state is State.OK
    assert f"203.0.113.7, as {world.outside.page.host} sees it, is in sshAllowed" in found.found


def test_an_address_that_may_not_come_in_is_told(stack: Stack, world: World) -> None:
    world.address = "198.51.100.9"
    found = reach.address(stack, None, world.outside)
    assert found.state is State.WRONG
    assert "198.51.100.9/32" in found.advice


def test_an_address_that_is_said_is_not_asked_for(stack: Stack, world: World) -> None:
    assert reach.address(stack, IPv4Address("203.0.113.7"), world.outside).state is State.OK
    assert reach.address(stack, IPv4Address("192.0.2.1"), world.outside).state is State.WRONG
    assert world.asked == []


def test_an_address_that_may_not_use_the_api_is_noted(make_stack: MakeStack, world: World) -> None:
    found = reach.address(make_stack(apiAllowed=["192.0.2.0/24"]), None, world.outside)
    assert found.state is State.NOTE
    assert "kubectl will not work from here" in found.found


def test_an_address_that_cannot_be_learned_is_a_note(stack: Stack, world: World) -> None:
    assert reach.address(stack, None, None).state is State.NOTE
    world.address = "2001:db8::1"
    assert "tells no IPv4 address" in reach.address(stack, None, world.outside).found
    world.broken = True
    found = reach.address(stack, None, world.outside)
    assert found.state is State.NOTE
    assert "--address" in found.advice


@contextmanager
def listening() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_ports_that_answer_are_well(stack: Stack, ocean: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as one, listening() as other:
        dial(monkeypatch, one, other)
        found = reach.ports(stack, ocean, "127.0.0.1")
    assert (found.state, found.found) == (State.OK, f"127.0.0.1: port {one} answers, port {other} answers.")


def test_a_refusal_may_be_the_firewalls(stack: Stack, ocean: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as one:
        dial(monkeypatch, one, free_port())
        assert reach.ports(stack, ocean, "127.0.0.1").state is State.NOTE


def test_ports_that_are_silent_are_told(stack: Stack, ocean: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_arguments: object, **_more: object) -> None:
        raise TimeoutError

    monkeypatch.setattr("doctor.reach.socket.create_connection", silent)
    found = reach.ports(stack, ocean, "192.0.2.1")
    assert found.state is State.WRONG
    assert "port 2222 does not answer" in found.found


def test_a_host_that_does_not_resolve_is_told(stack: Stack, ocean: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_arguments: object, **_more: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr("doctor.reach.socket.create_connection", unknown)
    assert "no-such-host.test does not resolve" in reach.ports(stack, ocean, "no-such-host.test").found


def test_without_a_host_nothing_is_dialled(stack: Stack, ocean: Reader, customer: Customer) -> None:
    customer.droplet("of-another")
    found = reach.ports(stack, ocean, None)
    assert found.state is State.NOTE
    assert "--dial HOST" in found.advice


def test_a_host_of_the_stack_is_dialled(
    make_stack: MakeStack, ocean: Reader, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    droplet = customer.droplet("etcd-0")
    public = customer.client.droplets.get(droplet)["droplet"]["networks"]["v4"]
    dialled = []

    def silent(host: str, port: int) -> reach.Answer:
        dialled.append((host, port))
        return reach.Answer.SILENT

    monkeypatch.setattr(reach, "_dial", silent)
    assert reach.ports(make_stack(made={DROPLET: {str(droplet)}}), ocean, None).state is State.WRONG
    assert dialled == [(network["ip_address"], 22) for network in public if network["type"] == "public"]


def dial(monkeypatch: pytest.MonkeyPatch, one: int, other: int) -> None:
    """Have other ports dialled than the two of SSH."""
    tried = reach._tried
    monkeypatch.setattr(reach, "_tried", lambda host, _ports: tried(host, (one, other)))
