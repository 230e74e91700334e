from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from doctor import cloudflare, digitalocean
from doctor.reading import Reader
from doctor.stack import Stack
from lab.cloud import ZONE_ID, ZONE_NAME
from lab.tests.cloud.fixtures import in_memory, server, service
from lab.tests.cloud.service import Account as Customer
from lab.tests.cloud.service import Service
from settings.accounts import CLOUDFLARE, DIGITALOCEAN, Account
from settings.load import parse
from tests.doctor.altered import Altered
from tests.doctor.pulumi import FakePulumi
from tests.doctor.world import World

__all__ = ["in_memory", "server", "service"]
"""Fixtures of elsewhere that pytest finds here."""

SETTINGS: dict[str, Any] = {
    "cluster": "prod",
    "domain": f"prod.{ZONE_NAME}",
    "zone": {"id": ZONE_ID, "name": ZONE_NAME},
    "region": "fra1",
    "image": "debian-12-x64",
    "pools": [
        {"name": "etcd", "roles": ["etcd"], "count": 3, "size": "s-1vcpu-1gb"},
        {"name": "k8s-master", "roles": ["kube-master"], "count": 2, "size": "s-1vcpu-2gb"},
    ],
    "vpcCidr": "10.240.0.0/20",
    "sshAllowed": ["203.0.113.7/32"],
}

MakeStack = Callable[..., Stack]


@pytest.fixture
def customer(service: Service) -> Customer:
    """Someone who makes things in the account, by DigitalOcean's own client."""
    return Customer(service)


@pytest.fixture
def lab(service: Service) -> Altered:
    return Altered.before(service)


@pytest.fixture
def make_stack(service: Service) -> MakeStack:
    """Compose a stack with the lab's tokens; settings as named, `made` as its state has it."""

    def make(
        *, made: dict[str, set[str]] | None = None, ocean: str | None = None, flare: str | None = None, **settings: Any
    ) -> Stack:
        tokens = service.cloud.tokens
        accounts = [
            Account(provider=provider, token=token, source=provider.token_key, readable=False, endpoint=endpoint)
            for provider, token, endpoint in (
                (DIGITALOCEAN, ocean or tokens.digitalocean, service.url),
                (CLOUDFLARE, flare or tokens.cloudflare, f"{service.url}/client/v4"),
            )
        ]
        return Stack(
            name="prod",
            settings=parse(SETTINGS | settings, accounts=accounts),
            digitalocean=accounts[0],
            cloudflare=accounts[1],
            made=made or {},
        )

    return make


@pytest.fixture
def stack(make_stack: MakeStack) -> Stack:
    return make_stack()


@pytest.fixture
def ocean(stack: Stack) -> Reader:
    return in_a_hurry(digitalocean.reader(stack.digitalocean))


@pytest.fixture
def flare(stack: Stack) -> Reader:
    return in_a_hurry(cloudflare.reader(stack.cloudflare))


def in_a_hurry(reader: Reader) -> Reader:
    reader.pause = 0.01
    return reader


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    world.start()
    yield world
    world.stop()


@pytest.fixture
def fake_pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePulumi:
    fake = FakePulumi(tmp_path / "pulumi")
    monkeypatch.setenv("PATH", f"{fake.folder}:{os.environ['PATH']}")
    return fake
