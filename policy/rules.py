"""All rules, and how they are run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policy import certificates, commands, firewalls, hosts, nodes
from policy.resource import Intent, Resource

RULES = (*firewalls.RULES, *hosts.RULES, *certificates.RULES, *commands.RULES, *nodes.RULES)
STACK_RULES = (*certificates.STACK_RULES, *nodes.STACK_RULES)


def violations(resources: Sequence[Resource], intent: Intent) -> Iterator[str]:
    """All violations in a whole graph: "NAME (RULE) is …"."""
    for resource in resources:
        for rule in RULES:
            for message in rule.violations(resource, intent):
                yield f"{resource.name} ({rule.name}) {message}"
    for stack_rule in STACK_RULES:
        for resource, message in stack_rule.check(resources):
            yield f"{resource.name} ({stack_rule.name}) {message}"
