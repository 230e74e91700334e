"""One plugin: its configuration and its resource types, and the protocol's calls in terms of plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from threading import Event
from typing import ClassVar

from lab.plugins import diff
from lab.plugins.bridge import Wrapped, complete
from lab.plugins.diff import Differences
from lab.plugins.function import Function
from lab.plugins.resource import Call, PartialError, PluginError, Resource, State
from lab.plugins.schema import Failure, Fields, Kind, check
from lab.plugins.values import UNKNOWN, Properties, Secret, Unknown

Checked = tuple[Properties, list[Failure]]

HEX_DIGITS_OF_AUTONAMES = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class Autonaming:
    """Names of resources that the program gives no name."""

    resource: str
    """Its name in the program."""
    seed: bytes
    proposed: str = ""
    """The stack's own setting."""
    disabled: bool = False

    def name(self) -> str:
        """Make a name."""
        return self.proposed or f"{self.resource}-{self.seed.hex()[:HEX_DIGITS_OF_AUTONAMES]}"


class Plugin:
    """One plugin. Subclasses name it, its resource types and its functions."""

    name: ClassVar[str]
    version: ClassVar[str]
    config: ClassVar[Fields] = {}

    def __init__(self, resources: Iterable[Resource], functions: Iterable[Function] = ()) -> None:
        self.resources: Mapping[str, Resource] = {resource.token: resource for resource in resources}
        self.functions: Mapping[str, Function] = {function.token: function for function in functions}
        self.cancelled = Event()

    def cancel(self) -> None:
        """Stop the steps that run, and start no others."""
        self.cancelled.set()

    def close(self) -> None:
        """Drop the steps that run: the process ends."""
        self.cancel()

    def resource(self, token: str) -> Resource:
        """Look a resource type up by its token."""
        try:
            return self.resources[token]
        except KeyError:
            known = ", ".join(sorted(self.resources))
            message = f"this stand-in for the {self.name} plugin has no resource type {token}; it has {known}"
            raise PluginError(message) from None

    def ask(self, token: str, arguments: Properties, call: Call) -> Checked:
        """Answer a function; with failures there is no answer."""
        if token not in self.functions:
            known = ", ".join(sorted(self.functions)) or "none"
            raise PluginError(f"this stand-in for the {self.name} plugin has no function {token}; it has {known}")
        function = self.functions[token]
        checked, failures = check(function.inputs, arguments, coerce=True, mark_defaults=False)
        return ({}, failures) if failures else (function.ask(checked, call), [])

    def check_config(self, news: Properties) -> Checked:
        """Validate the provider's configuration."""
        given = {key: value for key, value in news.items() if key not in ("version", "pluginDownloadURL")}
        failures = check(self.config, given, coerce=True, mark_defaults=False)[1]
        return _mark_secrets(self.config, news), failures

    def configure(self, config: Properties) -> None:
        """Take the provider's configuration."""

    def check(self, token: str, news: Properties, *, olds: Properties, autonaming: Autonaming) -> Checked:
        """Validate a resource's inputs, and fill in defaults and the name."""
        resource = self.resource(token)
        named = dict(news)
        automatic = resource.autoname and named.get("name") is None and not autonaming.disabled
        if automatic:
            named["name"] = olds.get("name") or autonaming.name()
        inputs, failures = check(
            resource.inputs,
            named,
            coerce=resource.wrapped is not Wrapped.NOTHING,
            mark_defaults=resource.wrapped is Wrapped.SDK,
        )
        if automatic and resource.wrapped is Wrapped.SDK:
            inputs["__defaults"] = sorted([*inputs["__defaults"], "name"])
        if not failures:
            failures = resource.validate(inputs)
        return _mark_secrets(resource.inputs, inputs), failures

    def diff(
        self, token: str, *, state: Properties, old_inputs: Properties, news: Properties, ignore: Iterable[str] = ()
    ) -> Differences:
        """Tell what changed."""
        resource = self.resource(token)
        found = diff.compare(resource.inputs, state=state, old_inputs=old_inputs, news=news, ignore=ignore)
        return found | resource.differences(state)

    def deletes_first(self, token: str, news: Properties, found: Differences) -> bool:
        """True if a replacement is made only after the old resource is deleted.

        The official plugins that wrap a Terraform provider do so for a resource that has its name from the program, if
        they could have made the name: the cloud could refuse two resources of one name. See
        `nameRequiresDeleteBeforeReplace` in pulumi-terraform-bridge. The resource option `delete_before_replace` of the
        program wins over it.
        """
        if not (self.resource(token).autoname and any(difference.replace for difference in found.values())):
            return False
        defaults = news.get("__defaults")
        return "name" in news and isinstance(defaults, list) and "name" not in defaults

    def create(self, token: str, inputs: Properties, call: Call, *, preview: bool) -> tuple[str, Properties]:
        """Make a resource, or tell what is known of it before it is made."""
        resource = self.resource(token)
        if preview:
            planned = _planned(resource, inputs) | dict.fromkeys(resource.outputs, UNKNOWN)
            return "", self.outputs(token, UNKNOWN, planned)
        try:
            state = resource.create(inputs, call)
        except PartialError as error:
            error.outputs = self.outputs(token, error.id, error.outputs)
            raise
        return state.id, self.outputs(token, state.id, state.outputs)

    def read(
        self,
        token: str,
        id_: str,
        call: Call,
        *,
        state: Properties,
        inputs: Properties,
    ) -> State | None:
        """Look at a resource (for a refresh or an import)."""
        resource = self.resource(token)
        found = resource.read(id_, state, inputs, call)
        if found is None:
            return None
        outputs = self.outputs(token, found.id, found.outputs)
        return State(found.id, outputs, _mark_secrets(resource.inputs, found.inputs))

    def update(
        self,
        token: str,
        id_: str,
        inputs: Properties,
        call: Call,
        *,
        state: Properties,
        preview: bool,
    ) -> Properties:
        """Change a resource in place, or tell what is known of it before it is changed."""
        resource = self.resource(token)
        if preview:
            unknown = dict.fromkeys(resource.volatile, UNKNOWN)
            kept = {name: value for name, value in state.items() if name in resource.outputs}
            for name, spec in resource.inputs.items():
                if spec.computed and name in state:
                    kept[name] = state[name]
            return self.outputs(token, id_, kept | _planned(resource, inputs, state) | unknown)
        changed = diff.compare(resource.inputs, state=state, old_inputs={}, news=inputs)
        return self.outputs(token, id_, resource.update(id_, state, inputs, changed, call))

    def delete(self, token: str, id_: str, state: Properties, call: Call) -> None:
        """Remove a resource."""
        self.resource(token).delete(id_, state, call)

    def outputs(self, token: str, id_: str | Unknown, outputs: Properties) -> Properties:
        """Return outputs in the form of the state: all of them, with the bridge's own, and the secret ones marked."""
        resource = self.resource(token)
        fields = {**resource.inputs, **resource.outputs}
        if resource.wrapped is not Wrapped.NOTHING:
            outputs = complete(fields, outputs) | {"id": id_}
            if resource.meta:
                outputs["__meta"] = resource.meta
        return _mark_secrets(fields, outputs)


def _planned(resource: Resource, inputs: Properties, state: Properties | None = None) -> Properties:
    """Tell which outputs follow from the inputs alone."""
    planned: Properties = {}
    for name, spec in resource.inputs.items():
        value = inputs.get(name)
        if value is not None:
            planned[name] = spec.canonical(value) if spec.canonical and value is not UNKNOWN else value
        elif spec.implied is not None:
            planned[name] = spec.implied
        elif spec.computed and state is None:
            planned[name] = UNKNOWN
    return planned


def _mark_secrets(fields: Fields, properties: Properties) -> Properties:
    """Mark secret values at every depth: official states have a secret key within a secret connection."""
    marked = dict(properties)
    for name, spec in fields.items():
        value = marked.get(name)
        if value is None:
            continue
        if spec.kind is Kind.OBJECT and isinstance(value, dict):
            value = _mark_secrets(spec.fields, value)
        marked[name] = Secret(value) if spec.secret else value
    return marked
