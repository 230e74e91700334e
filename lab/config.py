"""A lab's identity on this machine: its name, its directory, its block of addresses, and what follows from them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from toolchain.build_cache import cache_directory

API_PORT = 8000
MIRROR_PORT = 8001
PACKAGES_PORT = 80
"""Debian's mirrors use this port, so firewalls that let hosts reach the mirrors let them reach this port."""
DNS_PORT = 53

DEFAULT_BLOCK = IPv4Network("198.18.0.0/24")
REGISTRY = Path("/run/triplane")
"""Directory of the records of all labs on this machine."""

_NAME = re.compile(r"[a-z][a-z0-9]{0,9}")


class ConfigError(ValueError):
    """The requested lab is not possible; the message names the value and what to write instead."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabConfig:
    """One lab. Two labs with different names and blocks run side by side."""

    directory: Path
    """Directory of the lab's state, its hosts' disks and its log."""
    name: str = "lab"
    block: IPv4Network = DEFAULT_BLOCK
    """Addresses of this lab's public network; from 198.18.0.0/15, which is reserved for such use (RFC 2544)."""
    cache: Path = field(default_factory=cache_directory)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            msg = f"lab name {self.name!r} becomes part of interface names: use up to ten of a-z 0-9, a letter first"
            raise ConfigError(msg)
        if any(mark in str(self.directory) for mark in ":,\\"):
            raise ConfigError(
                f"lab directory {self.directory}: a colon, comma or backslash cannot be part of a mount's name"
            )
        if not 16 <= self.block.prefixlen <= 27:
            raise ConfigError(f"lab block {self.block} must be a network from /16 to /27, for example 198.18.0.0/24")

    @property
    def services(self) -> IPv4Address:
        """Address of the daemon, in the machine's own network namespace."""
        return self.block[1]

    @property
    def router(self) -> IPv4Address:
        """The droplets' gateway, in the router's namespace."""
        return self.block[2]

    @property
    def first_droplet(self) -> IPv4Address:
        """Droplets' public addresses start here."""
        return self.block[10]

    @property
    def api_url(self) -> str:
        """The DigitalOcean API; Cloudflare's is `/client/v4` below it."""
        return f"http://{self.services}:{API_PORT}"

    @property
    def mirror_url(self) -> str:
        """The release mirror."""
        return f"http://{self.services}:{MIRROR_PORT}"

    @property
    def hosts(self) -> Path:
        """One folder per host, named by its id."""
        return self.directory / "hosts"

    @property
    def log(self) -> Path:
        """The daemon's log."""
        return self.directory / "lab.log"

    @property
    def rootfs_dir(self) -> Path:
        """The hosts' shared root file systems."""
        return self.cache / "images"

    @property
    def mirror(self) -> Path:
        """Files of the release mirror and its registry."""
        return self.cache / "mirror"

    @property
    def uplink(self) -> str:
        """The one interface that the lab adds to the machine's own network namespace."""
        return f"tri-{self.name}"

    @property
    def router_namespace(self) -> str:
        """The network namespace through which all of the lab's traffic passes."""
        return f"triplane-{self.name}-router"

    def host_namespace(self, machine_id: int) -> str:
        """Name a host's network namespace."""
        return f"triplane-{self.name}-{machine_id}"
