"""The policy pack hands the rules what the SDK gives it; here the SDK is a stand-in that records."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pulumi
import pytest

from policy.rules import RULES, STACK_RULES

PACK = Path(__file__).parents[2] / "policy" / "__main__.py"
FIREWALL = "digitalocean:index/firewall:Firewall"
Pack = dict[str, Any]
"""What the pack registers: its own arguments, and its policies by name."""


class UnknownValueError(Exception):
    """What the SDK raises when a policy looks at a value that a preview does not know."""


class Proxy(Mapping[str, Any]):
    """Properties as the SDK wraps them: None stands for what is unknown."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values_ = values

    def __getitem__(self, key: str) -> Any:
        if self.values_[key] is None:
            raise UnknownValueError
        value = self.values_[key]
        return Proxy(value) if isinstance(value, dict) else value

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


@pytest.fixture
def pack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pack]:
    """What the pack registers: its own arguments, and its policies by name."""
    made: Pack = {}
    sdk, proxy = ModuleType("pulumi_policy"), ModuleType("pulumi_policy.proxy")
    for name in ("ReportViolation", "ResourceValidationArgs", "StackValidationArgs", "PolicyResource"):
        setattr(sdk, name, object)
    vars(sdk).update(
        EnforcementLevel=SimpleNamespace(MANDATORY="mandatory"),
        ResourceValidationPolicy=SimpleNamespace,
        StackValidationPolicy=SimpleNamespace,
        PolicyPack=lambda **arguments: made.update(arguments),
    )
    vars(proxy).update(UnknownValueError=UnknownValueError)
    monkeypatch.setitem(sys.modules, "pulumi_policy", sdk)
    monkeypatch.setitem(sys.modules, "pulumi_policy.proxy", proxy)
    monkeypatch.setattr(sys, "path", [*sys.path])
    runpy.run_path(str(PACK))
    made["by name"] = {policy.name: policy for policy in made["policies"]}
    yield made
    pulumi.runtime.set_all_config({}, [])


def arguments(kind: str, name: str, **properties: Any) -> SimpleNamespace:
    options = SimpleNamespace(ignore_changes=["create"])
    return SimpleNamespace(resource_type=kind, name=name, props=Proxy(properties), opts=options, urn=f"urn:{name}")


def ssh_from(*addresses: str) -> SimpleNamespace:
    rules = [{"protocol": "tcp", "portRange": "22", "sourceAddresses": [*addresses]}]
    return arguments(FIREWALL, "hosts", inboundRules=rules, tags=["lab-etcd"])


def reports(policy: SimpleNamespace, args: SimpleNamespace) -> list[tuple[str, ...]]:
    made: list[tuple[str, ...]] = []
    policy.validate(args, lambda *told: made.append(told))
    return made


def test_the_pack_enforces_every_rule_that_sees_no_secrecy(pack: Pack) -> None:
    wanted = {rule.name for rule in RULES if not rule.sees_secrecy} | {rule.name for rule in STACK_RULES}
    assert set(pack["by name"]) == wanted
    assert pack["enforcement_level"] == "mandatory"


def test_a_violation_is_reported_with_the_resources_name(pack: Pack) -> None:
    [(message,)] = reports(pack["by name"]["ssh-not-for-the-world"], ssh_from("0.0.0.0/0"))
    assert message.startswith("hosts opens SSH to 0.0.0.0/0")
    assert reports(pack["by name"]["ssh-not-for-the-world"], ssh_from("203.0.113.7/32")) == []


def test_the_stacks_wish_for_open_ssh_is_heard(pack: Pack) -> None:
    pulumi.runtime.set_all_config({"triplane:allowWorldSsh": "true"}, [])
    assert reports(pack["by name"]["ssh-not-for-the-world"], ssh_from("0.0.0.0/0")) == []


def test_a_value_unknown_in_preview_is_no_violation(pack: Pack) -> None:
    command = arguments(
        "command:remote:Command", "etcd-0-start", connection={"hostKey": None, "host": None}, create=None
    )
    for name in ("known-hosts-only", "secrets-on-stdin", "commands-that-last"):
        assert reports(pack["by name"][name], command) == []


def test_a_known_value_beside_an_unknown_one_is_still_judged(pack: Pack) -> None:
    command = arguments(
        "command:remote:Command", "etcd-0-start", connection={"host": None, "password": "x"}, create=None
    )
    assert len(reports(pack["by name"]["known-hosts-only"], command)) == 2


def test_a_stack_violation_is_reported_at_the_wrong_resource(pack: Pack) -> None:
    leaf = "tls:index/locallySignedCert:LocallySignedCert"
    resources = [
        arguments(leaf, "etcd-peer-etcd-0", caCertPem="CA", allowedUses=["client_auth", "server_auth"]),
        arguments(leaf, "admin", caCertPem="CA", allowedUses=["client_auth"]),
    ]
    [(message, urn)] = reports(pack["by name"]["etcd-trust-domains"], SimpleNamespace(resources=resources))
    assert message.startswith("etcd-peer-etcd-0 is one of etcd's peers")
    assert urn == "urn:etcd-peer-etcd-0"
