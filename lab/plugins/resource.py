"""Resource type of a plugin: properties, create, read, update and delete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from typing import ClassVar

from lab.plugins.bridge import Wrapped
from lab.plugins.diff import Difference, Differences
from lab.plugins.schema import Failure, Fields
from lab.plugins.values import Properties

Log = Callable[[str], None]


class PluginError(Exception):
    """A step failed; the message says what and why, and holds no secret."""


class CancelledError(PluginError):
    """The engine was asked to stop."""


class PartialError(PluginError):
    """The resource exists, but a later step failed: the engine keeps it and finishes it in the next run."""

    def __init__(self, reason: str, *, id_: str, outputs: Properties) -> None:
        super().__init__(reason)
        self.id = id_
        self.outputs = outputs


@dataclass(frozen=True, kw_only=True)
class Call:
    """Context of one step: its resource, its time limit, and the function that shows its progress."""

    name: str = ""
    """The resource's name in the program."""
    timeout: float | None = None
    """Seconds, from the program's custom timeouts; None leaves it to the resource type."""
    cancelled: Event = field(default_factory=Event)
    status: Log = lambda _text: None
    """Shows a line beside the resource during the step."""
    warn: Log = lambda _text: None


@dataclass(frozen=True, slots=True)
class State:
    """State of a resource in the cloud. `inputs` are those that would create it."""

    id: str
    outputs: Properties
    inputs: Properties


class Resource:
    """One resource type. Subclasses name their properties and implement the steps."""

    token: ClassVar[str]
    inputs: ClassVar[Fields]
    outputs: ClassVar[Fields]
    """Outputs besides the inputs."""
    autoname: ClassVar[bool] = False
    """Make a missing `name` from the program's name for the resource."""
    wrapped: ClassVar[Wrapped]
    """Provider that the official plugin wraps: its checks and its state differ in detail."""
    meta: ClassVar[str] = ""
    """Content of `__meta`."""
    volatile: ClassVar[frozenset[str]] = frozenset()
    """Outputs that an update in place may change: unknown in its preview."""

    def validate(self, inputs: Properties) -> list[Failure]:
        """Find what is wrong with the inputs as a whole; each one by itself is checked already."""
        return []

    def differences(self, state: Properties) -> dict[str, Difference]:
        """Find changes that come from the state alone, such as a certificate that has to be renewed."""
        return {}

    def create(self, inputs: Properties, call: Call) -> State:
        """Make it."""
        raise NotImplementedError

    def read(self, id_: str, state: Properties, inputs: Properties, call: Call) -> State | None:
        """Read it; None if it is gone. By default, the state has everything."""
        return State(id_, state, inputs)

    def update(self, id_: str, state: Properties, inputs: Properties, changed: Differences, call: Call) -> Properties:
        """Change it in place to the new inputs and return its outputs."""
        raise NotImplementedError

    def delete(self, id_: str, state: Properties, call: Call) -> None:
        """Remove it; if it is already gone, that is not an error. By default, nothing exists outside the state."""
