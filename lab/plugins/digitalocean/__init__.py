"""Stand-in for the digitalocean plugin: the API's calls in the order in which the official plugin makes them."""

from __future__ import annotations

import os
from typing import ClassVar

from lab.plugins.digitalocean.client import Client, Pace
from lab.plugins.digitalocean.droplet import Droplet
from lab.plugins.digitalocean.firewall import Firewall
from lab.plugins.digitalocean.listing import GetDroplets, GetRegions, GetSizes
from lab.plugins.digitalocean.ssh_key import SshKey
from lab.plugins.digitalocean.tag import Tag
from lab.plugins.digitalocean.vpc import Vpc
from lab.plugins.plugin import Checked, Plugin
from lab.plugins.schema import Field, Fields, Kind
from lab.plugins.values import Properties

ENDPOINT = "https://api.digitalocean.com"


class DigitalOceanPlugin(Plugin):
    """The plugin's name, version, configuration and resource types."""

    name = "digitalocean"
    version = "4.84.1"
    config: ClassVar[Fields] = {
        "token": Field(secret=True),
        "apiEndpoint": Field(),
        "httpRetryMax": Field(kind=Kind.INTEGER),
    }

    def __init__(self, pace: Pace) -> None:
        self._client = Client(pace)
        super().__init__(
            [kind(self._client) for kind in (Droplet, Firewall, SshKey, Tag, Vpc)],
            [function(self._client) for function in (GetDroplets, GetRegions, GetSizes)],
        )

    def check_config(self, news: Properties) -> Checked:
        """Validate the configuration and fill in the address."""
        inputs, failures = super().check_config(news)
        return {"apiEndpoint": os.environ.get("DIGITALOCEAN_API_URL") or ENDPOINT, **inputs}, failures

    def configure(self, config: Properties) -> None:
        """Take address and token; the token is not needed before the first call of the API."""
        token = config.get("token")
        for name in ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN"):
            token = token or os.environ.get(name)
        retries = config.get("httpRetryMax")
        self._client.configure(config.get("apiEndpoint") or ENDPOINT, token, None if retries is None else int(retries))


def plugin(pace: Pace | None = None) -> DigitalOceanPlugin:
    """Make the plugin; tests use another pace."""
    return DigitalOceanPlugin(pace or Pace())
