from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pydo
import pytest
from cloudflare import Cloudflare

from lab.cloud import ZONE_ID
from tests.lab.cloud.service import Server, Service, official_client


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def service(server: Server, tmp_path: Path) -> Iterator[Service]:
    with server.serving(tmp_path) as running:
        yield running


@pytest.fixture
def digitalocean(service: Service) -> pydo.Client:
    return official_client(service)


@pytest.fixture
def cloudflare(service: Service) -> Cloudflare:
    return Cloudflare(
        api_token=service.cloud.tokens.cloudflare,
        base_url=f"{service.url}/client/v4",
        max_retries=0,
        _strict_response_validation=True,
    )


@pytest.fixture
def raw(service: Service) -> Iterator[httpx.Client]:
    with service.digitalocean() as client:
        yield client


@pytest.fixture
def zone() -> str:
    return ZONE_ID
