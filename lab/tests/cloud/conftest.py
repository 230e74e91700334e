from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from cloudflare import Cloudflare

from lab.tests.cloud.service import Account, Server, Service


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Give each test a directory in memory, where there is such: a store per test is a wait for the disk per test."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        yield Path(directory)


@pytest.fixture
def service(server: Server, tmp_path: Path) -> Iterator[Service]:
    with server.serving(tmp_path) as running:
        yield running


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
