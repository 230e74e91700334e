"""The policy pack: `pulumi preview --policy-pack policy` runs every rule over the resources of the preview.

It needs a virtual environment of its own, see requirements.txt beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# The engine starts this folder as a program; the rules are imported from it as a package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pulumi
from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from policy.resource import UNKNOWN, Intent, Resource, Rule, StackRule
from policy.rules import RULES, STACK_RULES


def _known(value: object) -> object:
    """Replace values that a preview does not know yet with UNKNOWN: the SDK stops any rule that reads such a value."""

    def item(key: object) -> object:
        try:
            return _known(value[key])  # type: ignore[index]
        except UnknownValueError:
            return UNKNOWN

    if isinstance(value, Mapping):
        return {key: item(key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [item(position) for position in range(len(value))]
    return value


def _seen(args: ResourceValidationArgs | PolicyResource) -> Resource:
    return Resource(
        type=args.resource_type,
        name=args.name,
        properties=dict(_known(args.props)),  # type: ignore[call-overload]
        ignore_changes=tuple(args.opts.ignore_changes),
    )


def _resource_policy(rule: Rule) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        intent = Intent.of(pulumi.Config("triplane").get_object)
        for message in rule.violations(_seen(args), intent):
            report(f"{args.name} {message}")

    return ResourceValidationPolicy(name=rule.name, description=rule.description, validate=validate)


def _stack_policy(rule: StackRule) -> StackValidationPolicy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        urns = {(resource.resource_type, resource.name): resource.urn for resource in args.resources}
        for resource, message in rule.check([_seen(resource) for resource in args.resources]):
            report(f"{resource.name} {message}", urns[resource.type, resource.name])

    return StackValidationPolicy(name=rule.name, description=rule.description, validate=validate)


PolicyPack(
    name="triplane",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[
        *(_resource_policy(rule) for rule in RULES if not rule.sees_secrecy),
        *(_stack_policy(rule) for rule in STACK_RULES),
    ],
)
