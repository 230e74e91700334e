"""The lab's name server: the account's DNS records for the lab's zones, this machine's own resolvers for all else."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from dnslib import QTYPE, RCODE, RR, SOA, A, DNSRecord
from dnslib.server import BaseResolver, DNSHandler, DNSLogger, DNSServer

from lab.interfaces import Records

TTL = 1
"""Seconds an answer, or its absence, may be kept: a record counts within a second of its creation."""

FORWARD_SECONDS = 2.0
UPSTREAM_PORT = 53
_FORWARDS_AT_ONCE = 32
_LONGEST = 65535
_log = logging.getLogger(__name__)


def machine_resolvers(own: IPv4Address, path: Path = Path("/etc/resolv.conf")) -> tuple[str, ...]:
    """Read the name servers that this machine uses, without the lab's own."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return ()
    servers = [words[1] for line in lines if len(words := line.split()) > 1 and words[0] == "nameserver"]
    return tuple(server for server in servers if server != str(own))[:3]


class Resolver(BaseResolver):  # type: ignore[misc]  # dnslib has no types
    """Answers one query: with authority below the zones, by asking on elsewhere."""

    def __init__(
        self,
        records: Records,
        upstream: Callable[[], tuple[str, ...]],
        absence: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`absence` says for how many seconds a name that did not exist is taken not to exist (RFC 2308)."""
        self._records = records
        self._upstream = upstream
        self._absence = _Absence(absence)
        self._forwards = threading.BoundedSemaphore(_FORWARDS_AT_ONCE)

    def resolve(self, request: DNSRecord, handler: DNSHandler | None) -> DNSRecord:
        """Answer a query; whatever goes wrong is SERVFAIL to the one who asked."""
        try:
            return self._resolve(request, tcp=handler is not None and handler.protocol == "tcp")
        except Exception:  # noqa: BLE001 - a resolver that raises leaves the asker waiting
            _log.exception("a query was not answered")
            return _failure(request)

    def _resolve(self, request: DNSRecord, *, tcp: bool) -> DNSRecord:
        name = str(request.q.qname).rstrip(".").lower()
        zone = next((zone for zone in self._records.zones() if name == zone or name.endswith(f".{zone}")), None)
        if zone is None:
            return self._forward(request, tcp=tcp)
        reply = request.reply()
        reply.header.aa = 1
        reply.header.ra = 1
        absent = self._absence.left(name)
        addresses = None if absent else self._records.addresses(name)
        if addresses and request.q.qtype in (QTYPE.A, QTYPE.ANY):
            for address in addresses:
                reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A(str(address)), ttl=TTL))
            return reply
        kept = TTL
        if addresses is None and name != zone:
            reply.header.rcode = RCODE.NXDOMAIN
            kept = max(TTL, round(absent or self._absence.begins(name)))
        reply.add_auth(
            RR(zone, QTYPE.SOA, rdata=SOA(f"ns.{zone}", f"hostmaster.{zone}", (1, 60, 60, 60, kept)), ttl=kept)
        )
        return reply

    def _forward(self, request: DNSRecord, *, tcp: bool) -> DNSRecord:
        if not self._forwards.acquire(blocking=False):
            return _failure(request)
        try:
            for server in self._upstream():
                try:
                    reply = DNSRecord.parse(_ask(server, request.pack(), tcp=tcp))
                except (OSError, ValueError) as error:
                    _log.info("resolver %s did not answer: %s", server, error)
                    continue
                if reply.header.id == request.header.id:
                    return reply
            return _failure(request)
        finally:
            self._forwards.release()


class _Absence:
    """Names that were asked for before they existed, as a caching resolver remembers them."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def left(self, name: str) -> float:
        """Seconds for which a name is still taken not to exist; 0 where nothing is remembered of it."""
        with self._lock:
            if not self._seconds():
                self._until.clear()
            return max(0.0, self._until.get(name, 0.0) - time.monotonic())

    def begins(self, name: str) -> float:
        """Remember that a name does not exist; the seconds for which that holds."""
        seconds, now = self._seconds(), time.monotonic()
        with self._lock:
            self._until = {known: until for known, until in self._until.items() if until > now}
            if seconds:
                self._until[name] = now + seconds
        return seconds


def _ask(server: str, message: bytes, *, tcp: bool) -> bytes:
    """Send a message to another name server and return its answer.

    Not dnslib's own `send`, which reads for ever where a server closes the connection within its answer.
    """
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as sock:
        sock.settimeout(FORWARD_SECONDS)
        sock.connect((server, UPSTREAM_PORT))
        if not tcp:
            sock.send(message)
            return sock.recv(_LONGEST)
        # Each message after its length in two bytes (RFC 1035, 4.2.2).
        sock.sendall(len(message).to_bytes(2, "big") + message)
        with sock.makefile("rb") as stream:
            return _exactly(stream, int.from_bytes(_exactly(stream, 2), "big"))


def _exactly(stream: BinaryIO, size: int) -> bytes:
    read = stream.read(size)
    if len(read) < size:
        raise ConnectionError("it closed the connection within its answer")
    return read


def _failure(request: DNSRecord) -> DNSRecord:
    reply = request.reply()
    reply.header.rcode = RCODE.SERVFAIL
    return reply


def quiet() -> DNSLogger:
    """Keep dnslib from writing a line per query."""
    return DNSLogger(log="-request,-reply,-truncated,-data,-error", logf=_log.info)


class NameServer:
    """The resolver on UDP and TCP, as a context: open inside, closed after."""

    def __init__(self, resolver: BaseResolver, address: IPv4Address, port: int) -> None:
        # A server of dnslib would share a UDP port that is in use: ask for it alone first.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), port))
        self._servers = [DNSServer(resolver, str(address), port, tcp=tcp, logger=quiet()) for tcp in (False, True)]

    def __enter__(self) -> Self:
        for server in self._servers:
            # Asked often whether to stop, or stopping takes half a second.
            serve = threading.Thread(target=server.server.serve_forever, args=(0.05,), name="name server", daemon=True)
            serve.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.stop()
            server.server.server_close()
