"""The lab's name server, on loopback ports of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from dns import flags, message, query, rcode, rrset

from lab.hosts import name_server
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
        self.asked: list[str] = []
        self.changes: int | None = None

    def version(self) -> int | None:
        return self.changes

    def zones(self) -> tuple[str, ...]:
        return ("triplane.test",)

    def addresses(self, name: str) -> tuple[IPv4Address, ...] | None:
        self.asked.append(name)
        if name == "broken.triplane.test":
            raise RuntimeError(name)
        return self.names.get(name)


class Elsewhere:
    """Another name server, which knows one name."""

    def answer(self, query: message.Message, *, tcp: bool) -> message.Message:
        del tcp
        reply = message.make_response(query)
        if query.question[0].name.to_text() == "far.example.":
            reply.answer.append(rrset.from_text("far.example.", 60, "IN", "A", "203.0.113.9"))
        else:
            reply.set_rcode(rcode.NXDOMAIN)
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
    monkeypatch.setattr(name_server, "UPSTREAM_PORT", port)
    with name_server.NameServer(Elsewhere(), LOOPBACK, port):
        yield [str(LOOPBACK)]


@pytest.fixture
def port(book: Book, upstream: list[str]) -> Iterator[int]:
    port = free_port()
    with name_server.NameServer(name_server.Resolver(book, lambda: tuple(upstream)), LOOPBACK, port):
        yield port


@pytest.fixture
def remembering(book: Book, upstream: list[str]) -> Iterator[tuple[int, list[float]]]:
    """A name server that remembers what does not exist, for as many seconds as the list says."""
    port, seconds = free_port(), [300.0]
    resolver = name_server.Resolver(book, lambda: tuple(upstream), lambda: seconds[0])
    with name_server.NameServer(resolver, LOOPBACK, port):
        yield port, seconds


def ask(port: int, name: str, kind: str = "A", *, tcp: bool = False) -> message.Message:
    send = query.tcp if tcp else query.udp
    return send(message.make_query(name, kind), str(LOOPBACK), port=port, timeout=10)


def kept(reply: message.Message) -> tuple[str, int, int]:
    """The zone, and for how long an absence may be kept: by the record's TTL, and by what it says."""
    [records] = reply.authority
    return records.name.to_text(), records.ttl, records[0].minimum


def addresses(reply: message.Message) -> list[str]:
    return [str(data) for records in reply.answer for data in records]


@pytest.mark.parametrize("tcp", [False, True])
def test_a_record_is_answered_with_authority_over_udp_and_tcp(port: int, *, tcp: bool) -> None:
    reply = ask(port, "API.triplane.test", tcp=tcp)
    assert sorted(addresses(reply)) == ["198.19.0.13", "198.19.0.14"]  # in any order, as Cloudflare gives them
    assert reply.flags & flags.AA
    assert all(records.ttl <= 1 for records in reply.answer)


def test_a_new_or_removed_record_counts_at_the_next_query(port: int, book: Book) -> None:
    assert ask(port, "new.triplane.test").rcode() == rcode.NXDOMAIN
    book.names["new.triplane.test"] = (IPv4Address("198.19.0.99"),)
    assert addresses(ask(port, "new.triplane.test")) == ["198.19.0.99"]
    del book.names["new.triplane.test"]
    assert ask(port, "new.triplane.test").rcode() == rcode.NXDOMAIN


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("nobody.triplane.test", "A", rcode.NXDOMAIN),
        ("etcd-0.triplane.test", "AAAA", rcode.NOERROR),
        ("text.triplane.test", "A", rcode.NOERROR),
        ("triplane.test", "A", rcode.NOERROR),
    ],
)
def test_a_negative_answer_has_the_soa_and_a_ttl_of_one_second(port: int, name: str, kind: str, code: int) -> None:
    reply = ask(port, name, kind)
    assert reply.rcode() == code
    assert not reply.answer
    assert kept(reply) == ("triplane.test.", 1, 1)


def test_other_names_are_asked_of_the_machines_resolvers(port: int) -> None:
    assert addresses(ask(port, "far.example")) == ["203.0.113.9"]
    assert ask(port, "nowhere.example").rcode() == rcode.NXDOMAIN
    # A zone is not a suffix of letters.
    assert ask(port, "nottriplane.test").rcode() == rcode.NXDOMAIN
    assert not ask(port, "nottriplane.test").flags & flags.AA


def test_a_silent_resolver_leads_to_the_next_one_or_a_servfail(
    port: int, upstream: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name_server, "FORWARD_SECONDS", 0.2)
    upstream.insert(0, "127.0.0.2")
    assert addresses(ask(port, "far.example")) == ["203.0.113.9"]
    upstream[:] = ["127.0.0.2"]
    assert ask(port, "far.example").rcode() == rcode.SERVFAIL
    upstream[:] = []
    assert ask(port, "far.example").rcode() == rcode.SERVFAIL


@pytest.mark.parametrize("answer", [b"", b"\0", b"\0\x40", b"\0\x40half"])
def test_a_resolver_that_hangs_up_in_mid_answer_is_a_servfail(
    port: int, upstream: list[str], monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(name_server, "UPSTREAM_PORT", server.getsockname()[1])
        upstream[:] = ["127.0.0.1"]

        def answer_one() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        answering = threading.Thread(target=answer_one)
        answering.start()
        assert ask(port, "far.example", tcp=True).rcode() == rcode.SERVFAIL
        answering.join(10)


def test_a_failing_record_store_is_a_servfail_but_no_crash(port: int) -> None:
    assert ask(port, "broken.triplane.test").rcode() == rcode.SERVFAIL
    assert ask(port, "etcd-0.triplane.test").rcode() == rcode.NOERROR


def test_an_answer_is_remembered_until_the_records_change(book: Book, upstream: list[str]) -> None:
    port, name = free_port(), "etcd-0.triplane.test"
    resolver = name_server.Resolver(book, lambda: tuple(upstream))
    with name_server.NameServer(resolver, LOOPBACK, port, book.version):
        for _ in range(2):
            assert addresses(ask(port, name)) == ["198.19.0.10"]
        assert book.asked == [name] * 2, "answers that depend on the time are not remembered"
        book.changes = 1
        for _ in range(3):
            assert addresses(ask(port, name)) == ["198.19.0.10"]
            assert ask(port, "new.triplane.test").rcode() == rcode.NXDOMAIN
        assert book.asked[2:] == [name, "new.triplane.test"]
        book.names |= {name: (IPv4Address("198.19.0.20"),), "new.triplane.test": (IPv4Address("198.19.0.21"),)}
        book.changes = 2
        assert addresses(ask(port, name)) == ["198.19.0.20"]
        assert addresses(ask(port, "new.triplane.test")) == ["198.19.0.21"]


def test_what_other_servers_or_nobody_answered_is_not_remembered(book: Book, upstream: list[str]) -> None:
    port, book.changes = free_port(), 1
    resolver = name_server.Resolver(book, lambda: tuple(upstream))
    with name_server.NameServer(resolver, LOOPBACK, port, book.version):
        assert addresses(ask(port, "far.example")) == ["203.0.113.9"]
        for _ in range(2):
            assert ask(port, "broken.triplane.test").rcode() == rcode.SERVFAIL
        assert book.asked == ["broken.triplane.test"] * 2
        upstream.clear()
        assert ask(port, "far.example").rcode() == rcode.SERVFAIL


def test_a_port_in_use_is_an_error_and_not_shared(port: int, book: Book) -> None:
    with pytest.raises(OSError, match="in use"):
        name_server.NameServer(name_server.Resolver(book, tuple), LOOPBACK, port)


def test_the_machines_resolvers_are_read_without_the_labs_own(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("# nameserver 192.0.2.9\nsearch example\nnameserver 198.19.0.1\nnameserver 192.0.2.1\nnameserver\n")
    assert name_server.machine_resolvers(IPv4Address("198.19.0.1"), conf) == ("192.0.2.1",)
    assert name_server.machine_resolvers(IPv4Address("198.19.0.1"), tmp_path / "absent") == ()


def test_an_early_query_keeps_a_name_unknown_for_the_set_time(book: Book, remembering: tuple[int, list[float]]) -> None:
    port, seconds = remembering
    early = ask(port, "new.triplane.test")
    assert early.rcode() == rcode.NXDOMAIN
    assert kept(early) == ("triplane.test.", 300, 300)
    book.names["new.triplane.test"] = book.names["other.triplane.test"] = (IPv4Address("198.19.0.20"),)
    again = ask(port, "new.triplane.test")
    assert again.rcode() == rcode.NXDOMAIN
    assert 0 < kept(again)[1] <= 300
    assert addresses(ask(port, "other.triplane.test")) == ["198.19.0.20"]  # nobody asked for it before
    seconds[0] = 0
    assert addresses(ask(port, "new.triplane.test")) == ["198.19.0.20"]


def test_a_name_is_unknown_no_longer_than_that(book: Book, remembering: tuple[int, list[float]]) -> None:
    port, seconds = remembering
    seconds[0] = 0.3
    assert ask(port, "new.triplane.test").rcode() == rcode.NXDOMAIN
    book.names["new.triplane.test"] = (IPv4Address("198.19.0.20"),)
    wait_for("the name is found", lambda: ask(port, "new.triplane.test").rcode() == rcode.NOERROR)
