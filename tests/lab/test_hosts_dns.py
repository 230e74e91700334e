"""The lab's name server, on loopback ports of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from dnslib import QTYPE, RCODE, RR, A, DNSRecord
from dnslib.server import BaseResolver

from lab.hosts import dns
from tests.waiting import wait_for

LOOPBACK = IPv4Address("127.0.0.1")


class Book:
    """Records in a dictionary."""

    def __init__(self) -> None:
        self.names: dict[str, tuple[IPv4Address, ...]] = {
            "etcd-0.triplane.test": (IPv4Address("198.19.0.10"),),
            "api.triplane.test": (IPv4Address("198.19.0.13"), IPv4Address("198.19.0.14")),
            "text.triplane.test": (),
        }

    def zones(self) -> tuple[str, ...]:
        return ("triplane.test",)

    def addresses(self, name: str) -> tuple[IPv4Address, ...] | None:
        if name == "broken.triplane.test":
            raise RuntimeError(name)
        return self.names.get(name)


class Elsewhere(BaseResolver):  # type: ignore[misc]  # dnslib has no types
    """Another name server, which knows one name."""

    def resolve(self, request: DNSRecord, _handler: object) -> DNSRecord:
        reply = request.reply(aa=0)
        if str(request.q.qname) == "far.example.":
            reply.add_answer(RR("far.example", QTYPE.A, rdata=A("203.0.113.9"), ttl=60))
        else:
            reply.header.rcode = RCODE.NXDOMAIN
        return reply


def free_port() -> int:
    """Free for datagrams and for streams: a name server listens for both."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as streams,
        ):
            datagrams.bind((str(LOOPBACK), 0))
            port = int(datagrams.getsockname()[1])
            with contextlib.suppress(OSError):
                streams.bind((str(LOOPBACK), port))
                return port


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    port = free_port()
    monkeypatch.setattr(dns, "UPSTREAM_PORT", port)
    with dns.NameServer(Elsewhere(), LOOPBACK, port):
        yield [str(LOOPBACK)]


@pytest.fixture
def port(book: Book, upstream: list[str]) -> Iterator[int]:
    port = free_port()
    with dns.NameServer(dns.Resolver(book, lambda: tuple(upstream)), LOOPBACK, port):
        yield port


@pytest.fixture
def remembering(book: Book, upstream: list[str]) -> Iterator[tuple[int, list[float]]]:
    """A name server that remembers what does not exist, for as many seconds as the list says."""
    port, seconds = free_port(), [300.0]
    resolver = dns.Resolver(book, lambda: tuple(upstream), lambda: seconds[0])
    with dns.NameServer(resolver, LOOPBACK, port):
        yield port, seconds


def ask(port: int, name: str, kind: str = "A", *, tcp: bool = False) -> DNSRecord:
    return DNSRecord.parse(DNSRecord.question(name, kind).send(str(LOOPBACK), port, tcp=tcp, timeout=10))


@pytest.mark.parametrize("tcp", [False, True])
def test_a_record_is_answered_with_authority_over_udp_and_tcp(port: int, *, tcp: bool) -> None:
    reply = ask(port, "API.triplane.test", tcp=tcp)
    assert [str(answer.rdata) for answer in reply.rr] == ["198.19.0.13", "198.19.0.14"]
    assert reply.header.aa
    assert all(answer.ttl <= 1 for answer in reply.rr)


def test_a_record_that_is_made_or_removed_counts_at_the_next_question(port: int, book: Book) -> None:
    assert ask(port, "new.triplane.test").header.rcode == RCODE.NXDOMAIN
    book.names["new.triplane.test"] = (IPv4Address("198.19.0.99"),)
    assert str(ask(port, "new.triplane.test").rr[0].rdata) == "198.19.0.99"
    del book.names["new.triplane.test"]
    assert ask(port, "new.triplane.test").header.rcode == RCODE.NXDOMAIN


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("nobody.triplane.test", "A", RCODE.NXDOMAIN),
        ("etcd-0.triplane.test", "AAAA", RCODE.NOERROR),
        ("text.triplane.test", "A", RCODE.NOERROR),
        ("triplane.test", "A", RCODE.NOERROR),
    ],
)
def test_absence_is_told_with_the_zones_soa_and_may_be_kept_for_a_second(
    port: int, name: str, kind: str, code: int
) -> None:
    reply = ask(port, name, kind)
    assert reply.header.rcode == code
    assert not reply.rr
    (soa,) = reply.auth
    assert (str(soa.rname), soa.ttl, soa.rdata.times[4]) == ("triplane.test.", 1, 1)


def test_other_names_are_asked_of_the_machines_resolvers(port: int) -> None:
    assert str(ask(port, "far.example").rr[0].rdata) == "203.0.113.9"
    assert ask(port, "nowhere.example").header.rcode == RCODE.NXDOMAIN
    # A zone is not a suffix of letters.
    assert ask(port, "nottriplane.test").header.rcode == RCODE.NXDOMAIN
    assert not ask(port, "nottriplane.test").header.aa


def test_resolvers_that_do_not_answer_are_a_servfail_and_the_next_one_is_tried(
    port: int, upstream: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns, "FORWARD_SECONDS", 0.2)
    upstream.insert(0, "127.0.0.2")
    assert str(ask(port, "far.example").rr[0].rdata) == "203.0.113.9"
    upstream[:] = ["127.0.0.2"]
    assert ask(port, "far.example").header.rcode == RCODE.SERVFAIL
    upstream[:] = []
    assert ask(port, "far.example").header.rcode == RCODE.SERVFAIL


@pytest.mark.parametrize("answer", [b"", b"\0", b"\0\x40", b"\0\x40half"])
def test_a_resolver_that_hangs_up_within_its_answer_is_a_servfail_and_is_left(
    port: int, upstream: list[str], monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(dns, "UPSTREAM_PORT", server.getsockname()[1])
        upstream[:] = ["127.0.0.1"]

        def answer_one() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        answering = threading.Thread(target=answer_one)
        answering.start()
        assert ask(port, "far.example", tcp=True).header.rcode == RCODE.SERVFAIL
        answering.join(10)


def test_a_record_store_that_fails_is_a_servfail_and_the_server_goes_on(port: int) -> None:
    assert ask(port, "broken.triplane.test").header.rcode == RCODE.SERVFAIL
    assert ask(port, "etcd-0.triplane.test").header.rcode == RCODE.NOERROR


def test_a_port_in_use_is_an_error_and_not_shared(port: int, book: Book) -> None:
    with pytest.raises(OSError, match="in use"):
        dns.NameServer(dns.Resolver(book, tuple), LOOPBACK, port)


def test_the_machines_resolvers_are_read_without_the_labs_own(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("# nameserver 192.0.2.9\nsearch example\nnameserver 198.19.0.1\nnameserver 192.0.2.1\nnameserver\n")
    assert dns.machine_resolvers(IPv4Address("198.19.0.1"), conf) == ("192.0.2.1",)
    assert dns.machine_resolvers(IPv4Address("198.19.0.1"), tmp_path / "absent") == ()


def test_a_name_asked_for_too_early_stays_unknown_as_long_as_the_switch_says(
    book: Book, remembering: tuple[int, list[float]]
) -> None:
    port, seconds = remembering
    early = ask(port, "new.triplane.test")
    assert early.header.rcode == RCODE.NXDOMAIN
    assert (early.auth[0].ttl, early.auth[0].rdata.times[4]) == (300, 300)
    book.names["new.triplane.test"] = book.names["other.triplane.test"] = (IPv4Address("198.19.0.20"),)
    again = ask(port, "new.triplane.test")
    assert again.header.rcode == RCODE.NXDOMAIN
    assert 0 < again.auth[0].ttl <= 300
    assert str(ask(port, "other.triplane.test").short()) == "198.19.0.20"  # nobody asked for it before
    seconds[0] = 0
    assert ask(port, "new.triplane.test").short() == "198.19.0.20"


def test_a_name_is_unknown_no_longer_than_that(book: Book, remembering: tuple[int, list[float]]) -> None:
    port, seconds = remembering
    seconds[0] = 0.3
    assert ask(port, "new.triplane.test").header.rcode == RCODE.NXDOMAIN
    book.names["new.triplane.test"] = (IPv4Address("198.19.0.20"),)
    wait_for("the name is found", lambda: ask(port, "new.triplane.test").header.rcode == RCODE.NOERROR)
