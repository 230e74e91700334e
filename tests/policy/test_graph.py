"""The rules over everything that the stacks that come with Triplane would make."""

from __future__ import annotations

import json

import pytest

from policy.resource import Intent, Resource, Secret
from policy.rules import RULES, violations
from tests.components import graph as recorded


def seen(graph: recorded.Graph) -> list[Resource]:
    """A recorded graph as the rules take it."""
    return [
        Resource(
            type=resource.type,
            name=resource.name,
            properties={key: marked(value) for key, value in resource.inputs.items()},
            ignore_changes=resource.ignore_changes,
        )
        for resource in graph.resources
    ]


def marked(value):
    if isinstance(value, recorded.Secret):
        return Secret(marked(value.value))
    if isinstance(value, dict):
        return {key: marked(item) for key, item in value.items()}
    return [marked(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("stack", ["dev", "lab", "prod"])
def test_a_stack_breaks_no_rule(stack):
    assert list(violations(seen(recorded.graph_of(stack)), Intent())) == []


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.types], ids=lambda rule: rule.name)
def test_a_rule_has_something_to_look_at_in_the_lab(rule):
    assert any(resource.type.endswith(rule.types) for resource in seen(recorded.graph_of("lab")))


def test_a_stack_that_opens_ssh_to_the_world_breaks_the_rule_unless_it_says_so():
    graph = seen(recorded.graph_of("lab", sshAllowed=json.dumps(["0.0.0.0/0"]), allowWorldSsh="true"))
    assert [line for line in violations(graph, Intent()) if "ssh-not-for-the-world" in line]
    assert list(violations(graph, Intent(world_ssh=True))) == []
