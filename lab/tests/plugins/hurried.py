"""The digitalocean stand-in, which waits for the cloud in shorter steps than the official plugin."""

from __future__ import annotations

from lab.plugins import digitalocean
from lab.plugins.digitalocean import DigitalOceanPlugin
from lab.plugins.digitalocean.client import Pace


def plugin() -> DigitalOceanPlugin:
    return digitalocean.plugin(Pace(first=0.05, then=0.05, retry=0.05, busy=0.05))
