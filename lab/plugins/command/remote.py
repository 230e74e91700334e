"""command.remote.Command."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, ClassVar, Final

from lab.plugins.bridge import Wrapped
from lab.plugins.command.worker import Worker
from lab.plugins.diff import Differences
from lab.plugins.resource import Call, PluginError, Resource, State
from lab.plugins.schema import Field, Fields, Kind
from lab.plugins.values import Properties

if TYPE_CHECKING:
    from lab.plugins.command.session import Job, Output

LOGGING = ("stdout", "stderr", "stdoutAndStderr", "none")

ENDPOINT = {
    "host": Field(required=True),
    "port": Field(kind=Kind.NUMBER, default=22),
    "user": Field(default="root"),
    "password": Field(secret=True),
    "privateKey": Field(secret=True),
    "privateKeyPassword": Field(secret=True),
    "hostKey": Field(),
    "agentSocketPath": Field(),
    "dialErrorLimit": Field(kind=Kind.INTEGER, default=10),
    "perDialTimeout": Field(kind=Kind.INTEGER, default=15),
}

NOT_ACCEPTED: Final = (
    "Unable to set '{}'. This only works if your SSH server is configured to accept these variables via AcceptEnv. "
    "Alternatively, if a Bash-like shell runs the command on the remote host, you could prefix the command itself "
    "with the variables in the form 'VAR=value command'"
)


class RemoteCommand(Resource):
    """A command that runs on a host when it is created, updated or deleted."""

    token = "command:remote:Command"
    wrapped = Wrapped.NOTHING
    inputs: ClassVar[Fields] = {
        "connection": Field(
            kind=Kind.OBJECT,
            required=True,
            secret=True,
            fields={**ENDPOINT, "proxy": Field(kind=Kind.OBJECT, fields=ENDPOINT)},
        ),
        "create": Field(),
        "update": Field(),
        "delete": Field(),
        "stdin": Field(),
        "environment": Field(kind=Kind.MAP, items=Field()),
        "triggers": Field(kind=Kind.LIST, replace=True),
        "logging": Field(choices=LOGGING),
        "addPreviousOutputInEnv": Field(kind=Kind.BOOLEAN),
    }
    outputs: ClassVar[Fields] = {"stdout": Field(), "stderr": Field()}
    volatile = frozenset(outputs)

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def create(self, inputs: Properties, call: Call) -> State:
        """Run `create`, if there is one."""
        written = self._run(inputs, inputs.get("create"), {}, call)
        return State(f"{call.name}{secrets.token_hex(4)}", inputs | written, inputs)

    def update(self, id_: str, state: Properties, inputs: Properties, changed: Differences, call: Call) -> Properties:
        """Run `update`, or `create` where there is none; with neither, the last output stays."""
        command = inputs.get("update")
        return inputs | self._run(inputs, inputs.get("create") if command is None else command, state, call)

    def delete(self, id_: str, state: Properties, call: Call) -> None:
        """Run `delete`, if there is one."""
        self._run(state, state.get("delete"), state, call)

    def _run(self, inputs: Properties, command: str | None, state: Properties, call: Call) -> Properties:
        before = {name: state.get(name) or "" for name in self.outputs}
        if command is None:
            return before
        from lab.plugins.command.session import Job

        # Droplets and lab hosts accept only the locale's variables (AcceptEnv in Debian's sshd_config).
        # For other variables, the official plugin fails (`environment`) or warns (those of the last output).
        for name in inputs.get("environment") or ():
            raise PluginError(NOT_ACCEPTED.format(name))
        if inputs.get("addPreviousOutputInEnv", True):
            for name in [name for name, text in before.items() if text]:
                call.warn(NOT_ACCEPTED.format(f"PULUMI_COMMAND_{name.upper()}"))
        logging = inputs.get("logging") or "stdoutAndStderr"
        job = Job(
            command=command,
            stdin=inputs.get("stdin") or "",
            show_stdout=logging in ("stdout", "stdoutAndStderr"),
            show_stderr=logging in ("stderr", "stdoutAndStderr"),
        )
        output = self._worker.run(_dial_and_run(inputs["connection"], job, call))
        return {"stdout": output.stdout, "stderr": output.stderr}


async def _dial_and_run(connection: Properties, job: Job, call: Call) -> Output:
    """Dial and run. Custom timeouts and Ctrl-C end only the dialling: a command that has started ends by itself."""
    from lab.plugins.command.connection import Connection, Dialling
    from lab.plugins.command.session import run

    dialling = Dialling(cancelled=call.cancelled, timeout=call.timeout, status=call.status)
    async with Connection.of(connection).open(dialling) as ssh:
        return await run(ssh, job, status=call.status)
