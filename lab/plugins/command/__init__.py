"""Stand-in for the command plugin: commands on hosts, over SSH."""

from __future__ import annotations

from lab.plugins.command.remote import RemoteCommand
from lab.plugins.command.worker import Worker
from lab.plugins.plugin import Plugin


class CommandPlugin(Plugin):
    """The plugin's name, version and resource types."""

    name = "command"
    version = "1.2.1"

    def __init__(self) -> None:
        self._worker = Worker()
        super().__init__([RemoteCommand(self._worker)])

    def close(self) -> None:
        """Close all connections, even if commands still run on hosts."""
        super().close()
        self._worker.close()


def plugin() -> CommandPlugin:
    """Make the plugin."""
    return CommandPlugin()
