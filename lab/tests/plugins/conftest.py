from __future__ import annotations

import pytest

from lab.plugins import cloudflare, digitalocean
from lab.plugins.cloudflare import CloudflarePlugin
from lab.plugins.digitalocean import DigitalOceanPlugin
from lab.plugins.digitalocean.client import Pace
from lab.tests.cloud.fixtures import server, service
from lab.tests.cloud.service import Service
from lab.tests.plugins.recording import Recorder

__all__ = ["server", "service"]
"""Fixtures of elsewhere that pytest finds here."""

QUICK = Pace(first=0.005, then=0.005, retry=0.005, busy=0.005)


@pytest.fixture
def calls(service: Service) -> Recorder:
    """What the plugins ask of the API."""
    return Recorder.before(service)


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No token of the operator's gets into a test."""
    for name in ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN", "DIGITALOCEAN_API_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_BASE_URL", "SSH_AUTH_SOCK"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def ocean(service: Service, clean_environment: None) -> DigitalOceanPlugin:
    plugin = digitalocean.plugin(QUICK)
    plugin.configure({"token": service.cloud.tokens.digitalocean, "apiEndpoint": service.url})
    return plugin


@pytest.fixture
def flare(service: Service, clean_environment: None) -> CloudflarePlugin:
    plugin = cloudflare.plugin(retry=0.005)
    plugin.configure({"apiToken": service.cloud.tokens.cloudflare, "baseUrl": f"{service.url}/client/v4"})
    return plugin
