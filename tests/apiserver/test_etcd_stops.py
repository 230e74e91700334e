"""A member of etcd that stops while clients ask it, with the configuration that hosts have."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import grpc
import pytest
from cryptography import x509

from model import ports
from model.services import etcd
from tests.apiserver.server import free_ports
from tests.certificates import self_signed
from tests.unit.rendered import CLUSTER, TOPOLOGY
from tests.waiting import wait_for
from toolchain import PROGRAMS, build

pytestmark = pytest.mark.engine

RANGE, READ = "/etcdserverpb.KV/Range", b"\x0a\x01k"
"""A read of the key `k` (etcd, api/etcdserverpb/rpc.proto)."""
CLIENTS = 24


@dataclass
class Member:
    """A member that runs alone, and how its clients reach it."""

    process: subprocess.Popen[bytes]
    address: str
    credentials: grpc.ChannelCredentials

    def connect(self) -> grpc.Channel:
        # Each channel has a connection of its own.
        return grpc.secure_channel(self.address, self.credentials, options=[("grpc.use_local_subchannel_pool", 1)])


def read(channel: grpc.Channel) -> None:
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(RANGE)
    call(READ, timeout=10)


@dataclass
class Clients:
    """Reads until told to stop. Half of the clients connect again after each read."""

    member: Member
    answered: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    """Reads without an answer: status → number."""
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._read, args=(number % 2 == 0,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _read(self, again: bool) -> None:
        channel = self.member.connect()
        while not self._stop.is_set():
            if again:
                channel.close()
                channel = self.member.connect()
            try:
                read(channel)
                self.answered += 1
            except grpc.RpcError as error:
                self.ended[f"{error.code().name}: {error.details()}"] += 1
                self._stop.wait(0.05)  # as a client that tries again
        channel.close()


def certificate(folder: Path) -> tuple[bytes, bytes]:
    """One certificate, with its key, for all that a member needs: it signs itself."""
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made, key = self_signed("etcd", [x509.BasicConstraints(ca=True, path_length=None), names])
    for path in (etcd.PEER_CA, etcd.CLIENT_CA, etcd.PEER[0], etcd.SERVER[0]):
        (folder / Path(path).name).write_bytes(made)
    for path in (etcd.PEER[1], etcd.SERVER[1]):
        (folder / Path(path).name).write_bytes(key)
    return made, key


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Member]:
    """Start a member with a host's environment file and arguments; folders, ports and its name are the test's own."""
    host = TOPOLOGY.etcd[0]
    made, key = certificate(tmp_path)
    script = etcd.service(CLUSTER, host, first=True).script
    numbers = free_ports(4)
    own = {
        "${PRIVATE_ADDRESS}": "127.0.0.2",
        host.private_name: "127.0.0.1",
        etcd.PKI: str(tmp_path),
        etcd.DATA: str(tmp_path / "data"),
    } | {
        f":{port.number}": f":{number}"
        for port, number in zip(
            (ports.ETCD_CLIENT, ports.ETCD_PEER, ports.ETCD_METRICS, ports.ETCD_HTTP), numbers, strict=True
        )
    }
    for there, here in own.items():
        script = script.replace(there, here)
    environment = dict(re.findall(r"^(ETCD_(?!INITIAL_CLUSTER)[A-Z_]+)=(.*)$", script, re.MULTILINE))
    peer = f"https://127.0.0.1:{numbers[1]}"
    command = [
        *("setpriv", "--pdeathsig=KILL", str(build(PROGRAMS["etcd"]).path("etcd"))),
        *re.findall(r"^    (--\S+)", script, re.MULTILINE),
    ]
    with (tmp_path / "etcd.log").open("w") as log:
        process = subprocess.Popen(
            command,
            env=environment | {"ETCD_INITIAL_CLUSTER": f"{host.name}={peer}"},
            stdout=log,
            stderr=log,
        )
    address = f"127.0.0.1:{numbers[0]}"
    member = Member(process, address, grpc.ssl_channel_credentials(made, key, made))

    def answers() -> bool:
        assert process.poll() is None, (tmp_path / "etcd.log").read_text()[-2000:]
        with member.connect() as channel:
            try:
                read(channel)
            except grpc.RpcError:
                return False
            return True

    try:
        wait_for("the member answers", answers, seconds=60)
        yield member
    finally:
        process.kill()
        process.wait()


def test_a_member_that_stops_answers_the_reads_under_way(member: Member) -> None:
    """etcd's clients, kube-apiserver among them, try a read again only if it ends as UNAVAILABLE."""
    clients = Clients(member)
    with clients.running():
        wait_for("reads", lambda: clients.answered >= 10 * CLIENTS, seconds=60)
        member.process.send_signal(signal.SIGTERM)
        member.process.wait(timeout=60)
    assert {status for status in clients.ended if not status.startswith("UNAVAILABLE")} == set()
