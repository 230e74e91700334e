"""A command plugin that runs nothing: it tells the world of a play what would run, and gets the outcome."""

from __future__ import annotations

from base64 import b64decode
from hashlib import sha256

from lab.plugins.command import CommandPlugin
from lab.plugins.command.remote import RemoteCommand
from lab.plugins.diff import Differences
from lab.plugins.resource import Call, PluginError, State
from lab.plugins.values import Properties
from tests.plays.wire import RefusedError, Step, ask


class RecordedCommand(RemoteCommand):
    """command.remote.Command, with the inputs, differences and states of the stand-in that runs commands."""

    def __init__(self, world: str) -> None:
        self._world = world

    def create(self, inputs: Properties, call: Call) -> State:
        written = self._ask("create", inputs, inputs.get("create"), {}, call)
        return State(call.name, inputs | written, inputs)

    def update(self, id_: str, state: Properties, inputs: Properties, changed: Differences, call: Call) -> Properties:
        text = inputs.get("update")
        return inputs | self._ask("update", inputs, inputs.get("create") if text is None else text, state, call)

    def delete(self, id_: str, state: Properties, call: Call) -> None:
        self._ask("delete", state, state.get("delete"), state, call)

    def _ask(self, act: str, inputs: Properties, text: str | None, state: Properties, call: Call) -> Properties:
        if text is None:
            return {name: state.get(name) or "" for name in self.outputs}
        connection = inputs["connection"]
        bundle = [line.split(" ") for line in (inputs.get("stdin") or "").splitlines()]
        # The identity's stdin is a key, and not a list of files.
        files = {words[0]: words[3] for words in bundle if len(words) == 4 and words[0].startswith("/")}
        step = Step(
            name=call.name,
            act=act,
            text=text,
            host=connection["host"],
            host_key=connection.get("hostKey") or "",
            files={path: sha256(content.encode()).hexdigest()[:16] for path, content in files.items()},
            on_droplet="".join(words[2] for words in bundle if words[:2] == ["#", "droplet"]),
            droplet="".join(b64decode(files[path]).decode().strip() for path in files if path.endswith(".droplet")),
        )
        try:
            return {"stdout": ask(self._world, step), "stderr": ""}
        except RefusedError as error:
            raise PluginError(str(error)) from None


class RecordedCommandPlugin(CommandPlugin):
    """The command plugin's name and version, with this resource type."""

    def __init__(self, world: str) -> None:
        super().__init__()
        self.resources = {RecordedCommand.token: RecordedCommand(world)}


def plugin(world: str) -> RecordedCommandPlugin:
    """Make the plugin; `world` is the path of the world's socket."""
    return RecordedCommandPlugin(world)
