"""The rules over everything that the stacks that come with Triplane would make."""

from __future__ import annotations

import json
from dataclasses import replace
from inspect import signature
from typing import Any

import pytest

from model.firewalls import firewalls
from policy.resource import Intent, Resource, Rule, Secret, StackRule
from policy.rules import RULES, STACK_RULES, violations
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


def marked(value: Any) -> Any:
    if isinstance(value, recorded.Secret):
        return Secret(marked(value.value))
    if isinstance(value, dict):
        return {key: marked(item) for key, item in value.items()}
    return [marked(item) for item in value] if isinstance(value, list) else value


def intent(stack: str, **more: str) -> Intent:
    """What a stack's file asks for, as the pack reads it."""
    config = {key.removeprefix("triplane:"): value for key, value in recorded.config_of(stack).items()} | more
    return Intent.of(lambda name: json.loads(config[name]) if name in config else None)


@pytest.mark.parametrize("stack", ["dev", "lab", "prod"])
def test_a_stack_breaks_no_rule(stack: str) -> None:
    assert list(violations(seen(recorded.graph_of(stack)), intent(stack))) == []


@pytest.mark.parametrize("rule", STACK_RULES, ids=lambda rule: rule.name)
def test_a_rule_of_the_whole_stack_finds_what_it_looks_for_gone(rule: StackRule) -> None:
    """Each one is broken by taking away from the lab's graph what it holds."""
    broken = {
        "etcd-trust-domains": lambda each: replace(
            each, properties=each.properties | ({"caCertPem": "one CA"} if "caCertPem" in each.properties else {})
        ),
        "masters-kept-free": lambda each: replace(
            each, properties=each.properties | ({"create": ""} if each.name == "k8s-master-1-registration" else {})
        ),
    }
    graph = seen(recorded.graph_of("lab"))
    assert list(rule.check(graph)) == []
    assert list(rule.check([broken[rule.name](each) for each in graph]))


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.types], ids=lambda rule: rule.name)
def test_a_rule_has_something_to_look_at_in_the_lab(rule: Rule) -> None:
    assert any(resource.type.endswith(rule.types) for resource in seen(recorded.graph_of("lab")))


def test_ssh_open_to_the_world_breaks_the_rule_unless_declared() -> None:
    graph = seen(
        recorded.graph_of("lab", pools=recorded.SMALL, sshAllowed=json.dumps(["0.0.0.0/0"]), allowWorldSsh="true")
    )
    assert [line for line in violations(graph, intent("lab")) if "ssh-not-for-the-world" in line]
    assert list(violations(graph, intent("lab", allowWorldSsh="true"))) == []


def test_node_ports_that_the_settings_do_not_name_break_the_rule() -> None:
    assert [line for line in violations(seen(recorded.graph_of("lab")), Intent()) if "(node-ports-as-asked)" in line]


OPENED = {
    "ingressPorts": json.dumps([{"ports": "80-81", "ranges": ["0.0.0.0/0"]}]),
    "icmpAllowed": json.dumps(["203.0.113.0/24"]),
    "outboundAllowed": json.dumps(
        [{"ports": "all", "ranges": ["0.0.0.0/0"]}, {"protocol": "icmp", "ranges": ["10.0.0.0/8"]}]
    ),
    "nodesReachKubelets": "true",
}
"""Each setting of the network that is least open unless asked for, and the rule that hears it."""
HEARD_BY = dict(
    zip(OPENED, ("open-as-asked", "open-as-asked", "outbound-as-asked", "kubelets-for-masters"), strict=True)
)


def test_every_way_to_open_a_port_is_tried_here() -> None:
    """Add a new one to OPENED, to `port_rows` in tests/unit/test_docs.py for its row in docs/security.md, and here."""
    in_opened = {"ingress", "icmp_allowed", "outbound", "nodes_reach_kubelets"}
    in_other_tests = {"api_port", "ssh_allowed", "api_allowed", "node_ports_allowed", "cloud_controller"}
    outbound_alone = {"mirror", "registry"}
    assert signature(firewalls).parameters.keys() == in_opened | in_other_tests | outbound_alone
    assert len(OPENED) == len(in_opened)


def test_a_stack_with_more_open_ports_breaks_no_rule() -> None:
    assert (
        list(violations(seen(recorded.graph_of("lab", pools=recorded.SMALL, **OPENED)), intent("lab", **OPENED))) == []
    )


@pytest.mark.parametrize("setting", OPENED)
def test_what_is_open_without_being_asked_for_breaks_a_rule(setting: str) -> None:
    asked = intent("lab", **{name: value for name, value in OPENED.items() if name != setting})
    assert any(
        f"({HEARD_BY[setting]})" in line
        for line in violations(seen(recorded.graph_of("lab", pools=recorded.SMALL, **OPENED)), asked)
    )
