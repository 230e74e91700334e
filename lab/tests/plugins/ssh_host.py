"""A host to run commands on: an SSH server on loopback that runs them with this machine's shell."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import asyncssh

from tests.waiting import wait_for


@dataclass
class Host:
    """What the host lets in, and what became of it."""

    key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    host_key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    commands: list[str] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    ended: int = 0
    """Commands whose exit code was sent."""
    port: int = 0
    refusals: int = 0
    """This many connections are cut before they begin."""

    def __post_init__(self) -> None:
        self._private_key = self.key.export_private_key().decode()
        self.live: set[asyncssh.SSHServerConnection] = set()

    def connection(self, **more: Any) -> dict[str, Any]:
        """What a program would give as the connection to it."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": "root",
            "privateKey": self._private_key,
            "hostKey": self.host_key.export_public_key().decode(),
            "dialErrorLimit": 2,
        } | more

    def start(self) -> Callable[[], None]:
        """Serve; the answer stops it."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        server = asyncio.run_coroutine_threadsafe(self._listen(), loop).result(10)
        self.port = server.get_port()

        def stop() -> None:
            async def close() -> None:
                server.close()
                await server.wait_closed()
                for connection in list(self.live):
                    connection.abort()
                    await connection.wait_closed()
                unfinished = asyncio.all_tasks() - {asyncio.current_task()}
                for task in unfinished:
                    task.cancel()
                await asyncio.gather(*unfinished, return_exceptions=True)

            asyncio.run_coroutine_threadsafe(close(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()

        return stop

    def settled(self) -> None:
        """Wait until everyone has hung up."""
        wait_for("all connections are closed", lambda: self.open == 0)

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _Login(self),
            server_host_keys=[self.host_key],
            process_factory=self._run,
            encoding=None,
        )

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        command = process.command or ""
        self.commands.append(command)
        pipe = asyncio.subprocess.PIPE
        environment = {"PATH": "/usr/bin:/bin"} | dict(process.env)
        shell = await asyncio.create_subprocess_shell(
            command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, start_new_session=True
        )
        assert shell.stdin
        assert shell.stdout
        assert shell.stderr
        feeding = asyncio.create_task(_feed(process.stdin, shell.stdin))
        try:
            await asyncio.gather(_pump(shell.stdout, process.stdout), _pump(shell.stderr, process.stderr))
            code = await shell.wait()
        finally:
            feeding.cancel()
            if shell.returncode is None:
                # With all that it started: who has its output open keeps it from being over.
                os.killpg(shell.pid, signal.SIGKILL)
                await shell.wait()
        if code < 0:
            process.exit_with_signal("KILL")
        else:
            process.exit(code)
        self.ended += 1


async def _feed(source: asyncssh.SSHReader[bytes], sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()
    sink.close()


async def _pump(source: asyncio.StreamReader, sink: asyncssh.SSHWriter[bytes]) -> None:
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()


class _Login(asyncssh.SSHServer):
    def __init__(self, host: Host) -> None:
        self._host = host
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._host.connections += 1
        self._host.open += 1
        self._connection = conn
        self._host.live.add(conn)
        if self._host.connections <= self._host.refusals:
            conn.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._host.open -= 1
        if self._connection:
            self._host.live.discard(self._connection)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        return True  # a bastion is what it may be as well

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == "root" and key == self._host.key.convert_to_public()
