from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from cloudflare import Cloudflare

from lab.tests.cloud.fixtures import in_memory, server, service
from lab.tests.cloud.service import Account, Service

__all__ = ["in_memory", "server", "service"]
"""Fixtures of elsewhere that pytest finds here."""


@pytest.fixture
def account(service: Service) -> Account:
    return Account(service)


@pytest.fixture
def digitalocean(account: Account) -> Any:
    return account.client


@pytest.fixture
def cloudflare(service: Service) -> Iterator[Cloudflare]:
    with Cloudflare(
        api_token=service.cloud.tokens.cloudflare,
        base_url=f"{service.url}/client/v4",
        max_retries=0,
        http_client=httpx.Client(verify=False),
        _strict_response_validation=True,
    ) as client:
        yield client


@pytest.fixture
def raw(service: Service) -> Iterator[httpx.Client]:
    with service.digitalocean() as client:
        yield client
