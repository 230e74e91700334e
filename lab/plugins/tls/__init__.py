"""Stand-in for the tls plugin: keys, certificate requests, and certificates, made on this machine."""

from __future__ import annotations

from lab.plugins.plugin import Plugin
from lab.plugins.tls.private_key import PrivateKey
from lab.plugins.tls.resources import CertRequest, Clock, LocallySignedCert, SelfSignedCert, now


class TlsPlugin(Plugin):
    """The plugin's name, version and resource types."""

    name = "tls"
    version = "5.6.2"


def plugin(clock: Clock = now) -> TlsPlugin:
    """Make the plugin; tests use their own clock."""
    return TlsPlugin([PrivateKey(), CertRequest(), SelfSignedCert(clock), LocallySignedCert(clock)])
