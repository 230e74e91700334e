"""Connection to a host: the program's input, and the dialling that it describes."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from threading import Event
from typing import Final, TypeVar

import asyncssh

from lab.plugins.resource import CancelledError, PluginError
from lab.plugins.values import Properties

T = TypeVar("T")

LOOK: Final = 0.1
"""Seconds between checks whether to go on dialling."""

FIRST_DELAY: Final = 0.1
BACKOFF: Final = 1.5
LONGEST_DELAY: Final = 5.0
UNLIMITED: Final = -1

LOGIN_TIMEOUT: Final = 120
"""Seconds from the TCP connection to the end of the login; a host that is just booting may be slow."""
KEEPALIVE: Final = 15
"""Seconds of silence after which the host is asked whether it is still there; a dead one must not hang a run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialling:
    """Conditions that end the dialling, besides the number of tries; they end nothing on the host."""

    cancelled: Event
    """Set by the engine, when it is asked to stop."""
    timeout: float | None
    """Seconds, from the program's custom timeouts."""
    status: Callable[[str], None]

    async def within(self, work: Coroutine[object, object, T]) -> T:
        """Wait for the work, unless it takes too long or is cancelled."""
        task = asyncio.ensure_future(work)
        begun = time.monotonic()
        try:
            while not task.done():
                if self.cancelled.is_set():
                    raise CancelledError("context canceled")
                if self.timeout is not None and time.monotonic() - begun > self.timeout:
                    raise PluginError("context deadline exceeded")
                await asyncio.wait([task], timeout=LOOK)
        finally:
            task.cancel()
        return task.result()


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """One host's address, and the keys on both sides."""

    host: str
    port: int = 22
    user: str = "root"
    password: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    private_key_password: str | None = field(default=None, repr=False)
    host_key: str | None = None
    """The only key that the host may show; None takes any."""
    agent_socket: str | None = None
    dial_error_limit: int = 10
    """Failed tries before it gives up; -1 never gives up."""
    dial_timeout: float | None = 15
    """Seconds for one try."""
    proxy: Connection | None = None

    @classmethod
    def of(cls, inputs: Properties) -> Connection:
        """Read the resource's input of that name."""
        return cls(
            host=inputs["host"],
            port=int(inputs.get("port", 22)),
            user=inputs.get("user", "root"),
            password=inputs.get("password"),
            private_key=inputs.get("privateKey"),
            private_key_password=inputs.get("privateKeyPassword"),
            host_key=inputs.get("hostKey"),
            agent_socket=inputs.get("agentSocketPath") or os.environ.get("SSH_AUTH_SOCK"),
            dial_error_limit=inputs.get("dialErrorLimit", 10),
            dial_timeout=inputs.get("perDialTimeout", 15) or None,
            proxy=cls.of(inputs["proxy"]) if inputs.get("proxy") else None,
        )

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"{self.host}:{self.port}"

    @asynccontextmanager
    async def open(self, dialling: Dialling) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """Connect and log in, through the proxy if there is one; close the connection at the end."""
        async with self.proxy.open(dialling) if self.proxy else nullcontext() as tunnel:
            connection = await dialling.within(self._dial(tunnel, dialling))
            try:
                yield connection
            finally:
                connection.close()

    async def _dial(
        self, tunnel: asyncssh.SSHClientConnection | None, dialling: Dialling
    ) -> asyncssh.SSHClientConnection:
        await self._find_agent()
        limit = "inf" if self.dial_error_limit == UNLIMITED else str(self.dial_error_limit)
        for failed in count():
            try:
                return await self._dial_once(tunnel)
            except (OSError, TimeoutError, asyncssh.Error) as error:
                reason = _reason(error, self)
            if failed >= self.dial_error_limit != UNLIMITED:
                raise PluginError(f"after {failed} failed attempts: {reason}")
            dialling.status(f"Dial {failed + 1}/{limit} failed: retrying")
            await asyncio.sleep(min(FIRST_DELAY * BACKOFF**failed, LONGEST_DELAY))
        raise AssertionError  # counting never ends

    async def _find_agent(self) -> None:
        """Reach the SSH agent, with or without a private key: a missing agent is an error before any host is asked."""
        if not self.agent_socket:
            return
        try:
            _, writer = await asyncio.open_unix_connection(self.agent_socket)
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else str(error)
            raise PluginError(f"dial unix {self.agent_socket}: connect: {reason}") from None
        writer.close()

    async def _dial_once(self, tunnel: asyncssh.SSHClientConnection | None) -> asyncssh.SSHClientConnection:
        keys = [_private_key(self.private_key, self.private_key_password)] if self.private_key else None
        trusted: list[asyncssh.SSHKey] = [_host_key(self.host_key)] if self.host_key else []
        return await asyncssh.connect(
            self.host,
            self.port,
            tunnel=tunnel or (),
            sock=None if tunnel else await self._connected(),
            config=None,  # the files in the operator's ~/.ssh are not part of the program
            username=self.user,
            password=self.password,
            client_keys=keys,
            known_hosts=(trusted, [], []) if trusted else None,
            agent_path=self.agent_socket,
            kex_algs="^curve25519-sha256",
            compression_algs=None,
            login_timeout=LOGIN_TIMEOUT,
            keepalive_interval=KEEPALIVE,
        )

    async def _connected(self) -> socket.socket:
        """Open the TCP connection: as in the official plugin, the time for one try limits only this."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self.dial_timeout):
            found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            family, kind, protocol, _, address = found[0]
            sock = socket.socket(family, kind, protocol)
            sock.setblocking(False)  # noqa: FBT003 - its only argument
            try:
                await loop.sock_connect(sock, address)
            except BaseException:
                sock.close()
                raise
        return sock


@lru_cache(maxsize=64)
def _private_key(pem: str, passphrase: str | None) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_private_key(pem, passphrase)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise PluginError(f"connection.privateKey: {error}") from None


@lru_cache(maxsize=256)
def _host_key(line: str) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_public_key(line)
    except asyncssh.KeyImportError as error:
        raise PluginError(f"connection.hostKey: {error}; write it as in authorized_keys: ssh-ed25519 AAAA…") from None


def _reason(error: Exception, connection: Connection) -> str:
    """Say what went wrong in the official plugin's words, and add the host where those leave it out."""
    address = connection.address
    match error:
        case asyncssh.Error():
            return f"dial tcp {address}: ssh: handshake failed: {_refusal(error, connection)}"
        case TimeoutError():
            return f"dial tcp {address}: i/o timeout"
        case socket.gaierror():
            return f"dial tcp: lookup {connection.host}: no such host"
        case OSError(errno=int() as number) if number > 0:
            return f"dial tcp {address}: connect: {os.strerror(number).lower()}"
    return f"dial tcp {address}: {error}"


def _refusal(error: asyncssh.Error, connection: Connection) -> str:
    match error:
        case asyncssh.HostKeyNotVerifiable():
            expected = _host_key(connection.host_key or "").get_fingerprint()
            return (
                f"ssh: host key mismatch: {connection.host} did not show the key {expected} that the connection's "
                "hostKey asks for"
            )
        case asyncssh.PermissionDenied():
            return f"ssh: unable to authenticate as {connection.user}, no supported methods remain"
    return error.reason
