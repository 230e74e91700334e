"""Stand-in for the tls plugin: keys, certificate requests, and certificates, made on this machine."""

from __future__ import annotations

from lab.plugins.plugin import Plugin
from lab.plugins.tls.private_key import PrivateKey


class TlsPlugin(Plugin):
    """The plugin's name, version and resource types."""

    name = "tls"
    version = "5.6.2"


def plugin() -> TlsPlugin:
    """Make the plugin."""
    return TlsPlugin([PrivateKey()])
