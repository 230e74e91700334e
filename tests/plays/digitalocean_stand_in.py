"""The digitalocean stand-in, quick, and with a choice of how a droplet is replaced."""

from __future__ import annotations

from lab.plugins.diff import Differences
from lab.plugins.digitalocean import DigitalOceanPlugin
from lab.plugins.digitalocean.client import Pace
from lab.plugins.values import Properties


class MakesFirst(DigitalOceanPlugin):
    """Never asks that the old resource is deleted before its replacement is made."""

    def deletes_first(self, token: str, news: Properties, found: Differences) -> bool:
        return False


def plugin(deletes_first: bool) -> DigitalOceanPlugin:
    """Make the plugin; with `deletes_first`, it asks what the official plugin asks of a resource that has a name."""
    return (DigitalOceanPlugin if deletes_first else MakesFirst)(Pace(first=0.02, then=0.02, retry=0.02, busy=0.02))
