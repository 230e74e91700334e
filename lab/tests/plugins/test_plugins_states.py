"""States are interchangeable: the stand-ins find nothing to do in an official one, and leave one of the same shape."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2
from pulumi.runtime.proto.provider_pb2 import DiffResponse

from lab.plugins import tls
from lab.plugins.plugin import Plugin
from lab.plugins.values import encode
from lab.tests.plugins.official import COMMAND, RESOURCES
from lab.tests.plugins.steps import Steps, bare
from lab.tests.plugins.test_plugins_contract import CONTRACT
from lab.tests.plugins.test_plugins_protocol import check, served

BOOKKEEPING = {"id", "__meta", "__defaults"}
"""The bridge's own among the properties."""


def plugin_of(token: str) -> Plugin:
    return import_module(f"lab.plugins.{token.partition(':')[0]}").plugin()  # type: ignore[no-any-return]


def ids(resource: dict[str, Any]) -> str:
    return str(resource["id"])


def test_every_resource_type_is_in_a_state() -> None:
    assert {each["token"] for each in RESOURCES} == {token for plugin in CONTRACT.values() for token in plugin}


@pytest.mark.parametrize("official", RESOURCES, ids=ids)
def test_an_official_state_has_exactly_the_contracts_properties(official: dict[str, Any]) -> None:
    contract = CONTRACT[official["token"].partition(":")[0]][official["token"]]
    inputs, outputs = (set(official[side]) - BOOKKEEPING for side in ("inputs", "outputs"))
    assert inputs <= set(contract["inputs"])
    every = set(contract["inputs"]) | set(contract["outputs"])
    if official["token"] == COMMAND:  # wraps no provider, and leaves out what the program does
        assert set(contract["outputs"]) <= outputs <= every
    else:
        assert outputs == every


@pytest.mark.parametrize("official", RESOURCES, ids=ids)
def test_a_stand_in_has_nothing_to_do_in_an_official_state(official: dict[str, Any], clean_environment: None) -> None:
    with served(plugin_of(official["token"])) as stub:
        checked = check(stub, official["token"], official["given"], official["inputs"])
        assert not checked.failures
        found = stub.Diff(
            provider_pb2.DiffRequest(
                id=official["id"],
                urn=f"urn:pulumi:lab::triplane::{official['token']}::it",
                type=official["token"],
                olds=encode(official["outputs"]),
                old_inputs=encode(official["inputs"]),
                news=checked.inputs,
            )
        )
        assert (found.changes, list(found.diffs)) == (DiffResponse.DIFF_NONE, [])


@pytest.mark.parametrize("official", RESOURCES, ids=ids)
def test_a_stand_in_writes_the_official_plugins_inputs(official: dict[str, Any], clean_environment: None) -> None:
    steps = Steps(plugin_of(official["token"]), official["token"])
    assert steps.checked(**official["given"]) == official["inputs"]


def test_the_tls_stand_in_writes_the_official_plugins_outputs() -> None:
    official = {each["token"]: each for each in RESOURCES}
    plugin = tls.plugin()
    made: dict[str, Steps] = {}

    def make(kind: str, **more: Any) -> Steps:
        token = f"tls:index/{kind[0].lower()}{kind[1:]}:{kind}"
        made[token] = Steps(plugin, token)
        made[token].create(**official[token]["given"] | more)
        return made[token]

    pem = make("PrivateKey").outputs["privateKeyPem"]
    ca = make("SelfSignedCert", privateKeyPem=pem)
    request = make("CertRequest", privateKeyPem=pem)
    make(
        "LocallySignedCert",
        certRequestPem=request.outputs["certRequestPem"],
        caCertPem=ca.outputs["certPem"],
        caPrivateKeyPem=pem,
    )
    for token, steps in made.items():
        told = official[token]["outputs"]
        assert set(steps.outputs) == set(told)
        for name in ("__meta", "maxPathLength", "earlyRenewalHours", "isCaCertificate", "setSubjectKeyId", "rsaBits"):
            assert steps.outputs.get(name) == told.get(name), (token, name)
    assert "PRIVATE" not in json.dumps(RESOURCES)
    assert bare(ca.outputs)["maxPathLength"] is None
