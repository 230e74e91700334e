"""The lab's name server: the account's DNS records for the lab's zones, this machine's own resolvers for all else."""

from __future__ import annotations

import logging
import socketserver
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from lab.interfaces import Records

TTL = 1
"""Seconds that an answer, or its absence, may be cached: a new record is visible within a second."""

FORWARD_SECONDS = 2.0
UPSTREAM_PORT = 53
_FORWARDS_AT_ONCE = 32
_IDLE_SECONDS = 30.0
"""Seconds after which a TCP connection without a query is closed."""
_LONGEST = 65535
_REMEMBERED = 4096
"""Answers that are remembered at most."""
_log = logging.getLogger(__name__)


def machine_resolvers(own: IPv4Address, path: Path = Path("/etc/resolv.conf")) -> tuple[str, ...]:
    """Read the name servers that this machine uses, without the lab's own."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return ()
    servers = [words[1] for line in lines if len(words := line.split()) > 1 and words[0] == "nameserver"]
    return tuple(server for server in servers if server != str(own))[:3]


class Answering(Protocol):
    """Something that answers queries."""

    def answer(self, query: dns.message.Message, *, tcp: bool) -> dns.message.Message:
        """Answer a query that came over UDP or TCP."""


class Resolver:
    """Resolver of queries: authoritative for the zones, and forwarding for all other names."""

    def __init__(
        self,
        records: Records,
        upstream: Callable[[], tuple[str, ...]],
        absence: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Set it up; `absence` returns the seconds for which a missing name is remembered as missing (RFC 2308)."""
        self._records = records
        self._upstream = upstream
        self._absence = _Absence(absence)
        self._forwards = threading.BoundedSemaphore(_FORWARDS_AT_ONCE)

    def answer(self, query: dns.message.Message, *, tcp: bool) -> dns.message.Message:
        """Answer a query; any error is SERVFAIL for the client."""
        try:
            return self._answer(query, tcp=tcp)
        except Exception:  # noqa: BLE001 - a resolver that raises leaves the asker waiting
            _log.exception("a query was not answered")
            return _failure(query)

    def _answer(self, query: dns.message.Message, *, tcp: bool) -> dns.message.Message:
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        zone = next((zone for zone in self._records.zones() if name == zone or name.endswith(f".{zone}")), None)
        if zone is None:
            return self._forward(query, tcp=tcp)
        reply = dns.message.make_response(query, recursion_available=True)
        reply.flags |= dns.flags.AA
        absent = self._absence.left(name)
        addresses = None if absent else self._records.addresses(name)
        if addresses and question.rdtype in (dns.rdatatype.A, dns.rdatatype.ANY):
            reply.answer.append(dns.rrset.from_text(question.name, TTL, "IN", "A", *map(str, addresses)))
            return reply
        kept = TTL
        if addresses is None and name != zone:
            reply.set_rcode(dns.rcode.NXDOMAIN)
            kept = max(TTL, round(absent or self._absence.begins(name)))
        soa = f"ns.{zone}. hostmaster.{zone}. 1 60 60 60 {kept}"
        reply.authority.append(dns.rrset.from_text(f"{zone}.", kept, "IN", "SOA", soa))
        return reply

    def _forward(self, query: dns.message.Message, *, tcp: bool) -> dns.message.Message:
        if not self._forwards.acquire(blocking=False):
            return _failure(query)
        ask = dns.query.tcp if tcp else dns.query.udp
        try:
            for server in self._upstream():
                try:
                    return ask(query, server, timeout=FORWARD_SECONDS, port=UPSTREAM_PORT)
                except (OSError, EOFError, dns.exception.DNSException) as error:
                    _log.info("resolver %s did not answer: %r", server, error)
            return _failure(query)
        finally:
            self._forwards.release()


class _Absence:
    """Names that were asked for before they existed, as a caching resolver remembers them."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def left(self, name: str) -> float:
        """Return the seconds for which a name still counts as missing; 0 if it is not remembered."""
        with self._lock:
            if not self._seconds():
                self._until.clear()
            return max(0.0, self._until.get(name, 0.0) - time.monotonic())

    def begins(self, name: str) -> float:
        """Remember that a name does not exist; return the seconds for which that holds."""
        seconds, now = self._seconds(), time.monotonic()
        with self._lock:
            self._until = {known: until for known, until in self._until.items() if until > now}
            if seconds:
                self._until[name] = now + seconds
        return seconds


def _failure(query: dns.message.Message) -> dns.message.Message:
    reply = dns.message.make_response(query, recursion_available=True)
    reply.set_rcode(dns.rcode.SERVFAIL)
    return reply


class _Answers:
    """Answers to the same queries, as long as the records are the same: hosts ask a few names thousands of times."""

    def __init__(self, version: Callable[[], int | None]) -> None:
        self._version = version
        self._made: int | None = None
        self._replies: dict[bytes, bytes] = {}
        self._lock = threading.Lock()

    def known(self, query: bytes) -> bytes | None:
        """Find the answer to a query in wire format; only the first two bytes, its ID, are the query's own."""
        version = self._version()
        with self._lock:
            reply = self._replies.get(query[2:]) if version is not None and version == self._made else None
        return None if reply is None else query[:2] + reply

    def make(self, resolver: Answering, query: bytes) -> bytes:
        """Answer a query in wire format; remember what this server knows itself. DNSException if it cannot be read."""
        version = self._version()  # before the answer: a change meanwhile makes it count as old
        reply = resolver.answer(dns.message.from_wire(query), tcp=False)
        made = reply.to_wire(max_size=_LONGEST)
        if version is not None and reply.flags & dns.flags.AA:
            with self._lock:
                if version != self._made or len(self._replies) >= _REMEMBERED:
                    self._made, self._replies = version, {}
                self._replies[query[2:]] = made[2:]
        return made


class NameServer:
    """Context manager that serves the resolver on UDP and TCP while inside."""

    def __init__(
        self, resolver: Answering, address: IPv4Address, port: int, version: Callable[[], int | None] = lambda: None
    ) -> None:
        """Take the port; OSError if another process has it.

        `version` changes when an answer may have changed; it is None while answers also depend on the time.
        """
        answers = _Answers(version)

        class Datagrams(socketserver.BaseRequestHandler):
            """One query, and its answer."""

            def handle(self) -> None:
                message, sock = self.request
                with suppress(dns.exception.DNSException):  # only a query gets an answer
                    sock.sendto(answers.make(resolver, message), self.client_address)

        class Streams(socketserver.BaseRequestHandler):
            """Queries one after the other, until the client closes the connection."""

            def handle(self) -> None:
                self.request.settimeout(_IDLE_SECONDS)
                with suppress(OSError, EOFError, dns.exception.DNSException):
                    while True:
                        query, _ = dns.query.receive_tcp(self.request)
                        dns.query.send_tcp(self.request, resolver.answer(query, tcp=True))

        self._servers: list[socketserver.BaseServer] = [_Udp((str(address), port), Datagrams, answers)]
        try:
            self._servers.append(_Tcp((str(address), port), Streams))
        except OSError:
            self._servers[0].server_close()
            raise

    def __enter__(self) -> Self:
        for server in self._servers:
            # Check often whether to stop: with the default, stopping takes half a second.
            threading.Thread(target=server.serve_forever, args=(0.05,), name="name server", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True
    max_packet_size = _LONGEST

    def __init__(
        self, address: tuple[str, int], handler: type[socketserver.BaseRequestHandler], answers: _Answers
    ) -> None:
        super().__init__(address, handler)
        self._answers = answers

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base class's types
        """Send a known answer at once; anything else gets a thread."""
        query, sock = request
        if reply := self._answers.known(query):
            sock.sendto(reply, client_address)
        else:
            super().process_request(request, client_address)


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
