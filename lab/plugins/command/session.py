"""One command on a host: its input, its output line by line, and its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import asyncssh

from lab.plugins.resource import PluginError

Log = Callable[[str], None]

WINDOW: Final = 2 * 1024 * 1024
PACKET: Final = 32768

LONGEST_LINE: Final = 64 * 1024
"""Bytes. The official plugin reads output with Go's bufio.Scanner, which stops at a longer line; after that the output
is not read, and the command never ends. The stand-in does the same: commands in the lab must cut their lines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """Command to run, and its input."""

    command: str
    stdin: str = field(default="", repr=False)
    show_stdout: bool = True
    show_stderr: bool = True


@dataclass(frozen=True, slots=True)
class Output:
    """Output of a command, without the last newline."""

    stdout: str
    stderr: str


async def run(connection: asyncssh.SSHClientConnection, job: Job, *, status: Log) -> Output:
    """Run one command to its end; an exit status other than 0 is an error that shows the command and its output."""
    session = _Session(job, status)
    channel: asyncssh.SSHClientChannel[bytes] | None = None
    try:
        channel, _ = await connection.create_session(
            lambda: session, job.command, encoding=None, window=WINDOW, max_pktsize=PACKET
        )
        with suppress(BrokenPipeError):  # a command may end before it has read its input
            channel.write(job.stdin.encode())
            channel.write_eof()
        await channel.wait_closed()
        if session.stuck:
            await asyncio.Event().wait()  # for ever: see LONGEST_LINE
        session.flush()
    except asyncssh.Error as error:
        raise PluginError(f"{error.reason}: {session.report(job.command)}") from None
    except asyncio.CancelledError:
        if channel is not None:
            channel.terminate()
        raise
    if session.ending:
        raise PluginError(f"{session.ending}: {session.report(job.command)}")
    return Output(_text(session.stdout), _text(session.stderr))


def _text(data: bytearray) -> str:
    return data.decode(errors="replace").removesuffix("\n")


class _Session(asyncssh.SSHClientSession[bytes]):
    """Collects a command's output and shows it line by line."""

    def __init__(self, job: Job, status: Log) -> None:
        self._shown = (job.show_stdout, job.show_stderr)
        self._status = status
        self._line = bytearray()
        self.stuck = False
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.both = bytearray()
        self.ending: str | None = "wait: remote command exited without exit status or exit signal"

    def report(self, command: str) -> str:
        """Show the command and all that it wrote, for an error, without its input."""
        return f"running {json.dumps(command, ensure_ascii=False)}:\n{self.both.decode(errors='replace')}"

    def data_received(self, data: bytes, datatype: int | None) -> None:
        is_error = datatype == asyncssh.EXTENDED_DATA_STDERR
        (self.stderr if is_error else self.stdout).extend(data)
        self.both.extend(data)
        if self._shown[is_error] and not self.stuck:
            *lines, rest = (self._line + data).split(b"\n")
            for line in lines:
                if len(line) >= LONGEST_LINE:
                    self.stuck = True
                    return
                self._status(line.decode(errors="replace"))
            self._line = bytearray(rest)
            self.stuck = len(rest) > LONGEST_LINE

    def flush(self) -> None:
        """Show what is left of the last line."""
        if self._line:
            self._status(self._line.decode(errors="replace"))
            self._line.clear()

    def exit_status_received(self, status: int) -> None:
        self.ending = f"Process exited with status {status}" if status else None

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:  # noqa: FBT001 - asyncssh's interface
        self.ending = f"Process exited with signal {signal}"
