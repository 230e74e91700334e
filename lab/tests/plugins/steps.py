"""The steps that the engine takes a resource through, on a plugin, as short as a test wants to say them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lab.plugins.plugin import Autonaming, Plugin
from lab.plugins.resource import Call
from lab.plugins.values import Properties, Secret


def bare(value: Any) -> Any:
    """Take the secret marks off."""
    match value:
        case Secret():
            return bare(value.value)
        case dict():
            return {key: bare(item) for key, item in value.items()}
        case list():
            return [bare(item) for item in value]
    return value


@dataclass
class Steps:
    """One resource and its state, kept as the engine keeps it."""

    plugin: Plugin
    token: str
    name: str = "it"
    id: str = ""
    inputs: Properties = field(default_factory=dict)
    outputs: Properties = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    @property
    def call(self) -> Call:
        return Call(name=self.name, cancelled=self.plugin.cancelled, status=self.said.append, warn=self.said.append)

    def checked(self, **news: Any) -> Properties:
        inputs, failures = self.plugin.check(
            self.token, news, olds=self.inputs, autonaming=Autonaming(resource=self.name, seed=b"\x0a\x0b\x0c\x0d")
        )
        assert not failures
        return bare(inputs)  # type: ignore[no-any-return]

    def failures(self, **news: Any) -> list[str]:
        _, failures = self.plugin.check(
            self.token, news, olds={}, autonaming=Autonaming(resource=self.name, seed=b"\x0a\x0b\x0c\x0d")
        )
        return [failure.reason for failure in failures]

    def create(self, **news: Any) -> Properties:
        self.inputs = self.checked(**news)
        self.id, outputs = self.plugin.create(self.token, self.inputs, self.call, preview=False)
        self.outputs = bare(outputs)
        return outputs

    def preview(self, **news: Any) -> Properties:
        _, outputs = self.plugin.create(self.token, self.checked(**news), self.call, preview=True)
        return outputs

    def preview_update(self, **news: Any) -> Properties:
        return self.plugin.update(
            self.token, self.id, self.checked(**news), self.call, state=self.outputs, preview=True
        )

    def diff(self, **news: Any) -> dict[str, bool]:
        """Tell which paths differ, and whether that replaces."""
        found = self.plugin.diff(self.token, state=self.outputs, old_inputs=self.inputs, news=self.checked(**news))
        return {path: difference.replace for path, difference in found.items()}

    def update(self, **news: Any) -> Properties:
        inputs = self.checked(**news)
        outputs = self.plugin.update(self.token, self.id, inputs, self.call, state=self.outputs, preview=False)
        self.inputs, self.outputs = inputs, bare(outputs)
        return outputs

    def refresh(self) -> bool:
        """Look; tell whether it is still there."""
        found = self.plugin.read(self.token, self.id, self.call, state=self.outputs, inputs=self.inputs)
        if found is None:
            return False
        self.inputs, self.outputs = bare(found.inputs), bare(found.outputs)
        return True

    def delete(self) -> None:
        self.plugin.delete(self.token, self.id, self.outputs, self.call)
