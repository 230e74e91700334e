"""Stand-in for the cloudflare plugin: DNS records."""

from __future__ import annotations

import os
from typing import ClassVar

from lab.plugins.cloudflare.client import Client
from lab.plugins.cloudflare.dns_record import DnsRecord
from lab.plugins.plugin import Plugin
from lab.plugins.schema import Field, Fields
from lab.plugins.values import Properties

BASE_URL = "https://api.cloudflare.com/client/v4"


class CloudflarePlugin(Plugin):
    """The plugin's name, version, configuration and resource types."""

    name = "cloudflare"
    version = "6.23.1"
    config: ClassVar[Fields] = {"apiToken": Field(secret=True), "baseUrl": Field()}

    def __init__(self, retry: float) -> None:
        self._client = Client(retry)
        super().__init__([DnsRecord(self._client)])

    def configure(self, config: Properties) -> None:
        """Take address and token; the token is not needed before the first call of the API."""
        self._client.configure(
            config.get("baseUrl") or os.environ.get("CLOUDFLARE_BASE_URL") or BASE_URL,
            config.get("apiToken") or os.environ.get("CLOUDFLARE_API_TOKEN"),
        )


def plugin(retry: float = 1.0) -> CloudflarePlugin:
    """Make the plugin; `retry` is the pause before a request is tried again, in seconds."""
    return CloudflarePlugin(retry)
