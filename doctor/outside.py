"""Address of this machine and name servers of the zone, from Cloudflare's public resolver."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from doctor.reading import Reader, ReadError

DEFAULT = "https://1.1.1.1"
"""The resolver's IPv4 address: droplets are reached over IPv4, and the resolver's name may resolve to IPv6."""
NS = 2
"""Type of a name server's record (RFC 1035, 3.2.2)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outside:
    """A server that answers /dns-query as JSON and /cdn-cgi/trace, as 1.1.1.1 does."""

    page: Reader
    dns: Reader

    @classmethod
    def at(cls, url: str) -> Outside:
        """Ask this server without a proxy: SSH does not use a proxy either."""
        base = url.rstrip("/")
        return cls(
            page=Reader(base=base, direct=True, accept="text/plain"),
            dns=Reader(base=base, accept="application/dns-json"),
        )

    def address(self) -> IPv4Address:
        """Return the address that this machine's connections come from. Raises ReadError."""
        text = self.page.get("/cdn-cgi/trace").text
        told = next((line.removeprefix("ip=") for line in text.splitlines() if line.startswith("ip=")), "")
        try:
            return IPv4Address(told)
        except ValueError:
            raise ReadError(f"{self.page.host} tells no IPv4 address") from None

    def name_servers(self, zone: str) -> list[str]:
        """Name the servers that answer for a zone; none if it has no servers. Raises ReadError.

        The format: developers.cloudflare.com/1.1.1.1, "Using JSON".
        """
        body = self.dns.json("/dns-query", name=zone, type="NS")
        return [answer["data"] for answer in body.get("Answer") or () if answer.get("type") == NS]
