"""Rules for remote commands and their secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from policy.resource import Intent, Resource, Rule, credentials, readable_texts

IN_VIEW = ("create", "update", "delete", "environment", "interpreter")
"""Inputs that are visible in a process list, or in the error of a failing command."""


def _pinned(resource: Resource, _: Intent) -> Iterator[str]:
    connection = resource.get("connection")
    if isinstance(connection, Mapping):
        if not connection.get("hostKey"):
            yield "connects without knowing the host's key, so that anybody may answer. Set connection.host_key."
        if connection.get("password"):
            yield "connects with a password. Use the deploy key."


def _in_view(resource: Resource, _: Intent) -> Iterator[str]:
    for name in IN_VIEW:
        for text in readable_texts(resource.get(name)):
            for found in credentials(text):
                yield f"has a {found} in {name}, where errors and process lists show it. Send it on stdin."


def _lasting(resource: Resource, _: Intent) -> Iterator[str]:
    if resource.get("triggers") and resource.get("delete"):
        yield (
            "has triggers and delete: a trigger replaces it, and the old one's delete runs after the new one's create. "
            "Put digests into create or stdin instead of triggers."
        )
    runs_once = "create" in resource.ignore_changes
    if resource.get("addPreviousOutputInEnv") is not False and not runs_once:
        yield "puts its last output into the environment. Set add_previous_output_in_env=False."


def _encrypted(resource: Resource, _: Intent) -> Iterator[str]:
    for name, value in resource.properties.items():
        for text in readable_texts(value):
            for found in credentials(text):
                yield f"has a {found} in {name} that the state would keep in plain text. Wrap it: pulumi.Output.secret."


RULES = (
    Rule(
        name="known-hosts-only",
        description="Every connection is held to the host's key, and none uses a password.",
        types=("remote:Command", "remote:CopyToRemote", "remote:CopyFile"),
        check=_pinned,
    ),
    Rule(
        name="secrets-on-stdin",
        description="A command's text and environment hold no credential.",
        types=("remote:Command", "local:Command"),
        check=_in_view,
    ),
    Rule(
        name="commands-that-last",
        description="No command cleans up after its replacement, or hands its output to its next run.",
        types=("remote:Command",),
        check=_lasting,
    ),
    Rule(
        name="credentials-are-secret",
        description="Whatever holds a private key or token is encrypted in state.",
        types=(),
        check=_encrypted,
        sees_secrecy=True,
    ),
)
