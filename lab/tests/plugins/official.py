"""A state as the official plugins would leave it, made of one whose objects the cloud really has.

Those plugins cannot run here. What `official-states.yaml` says of the form of their states is laid over the values of
a state of the stand-ins.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from lab.plugins.values import SECRET, SIGNATURE, Secret

RESOURCES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("official-states.yaml").read_text())

FORMS = {each["token"]: each for each in RESOURCES}

COMMAND = "command:remote:Command"

SECRETS = {
    "tls:index/privateKey:PrivateKey": {"privateKeyOpenssh", "privateKeyPem", "privateKeyPemPkcs8"},
    "tls:index/selfSignedCert:SelfSignedCert": {"privateKeyPem", "privateKeyPemWo"},
    "tls:index/certRequest:CertRequest": {"privateKeyPem", "privateKeyPemWo"},
    "tls:index/locallySignedCert:LocallySignedCert": {"caPrivateKeyPem", "caPrivateKeyPemWo"},
    COMMAND: {"connection", "connection.privateKey", "stdin"},
}
"""Which outputs are encrypted, by the plugin or by the SDK's wish; a secret within a secret is one too."""

EMPTY: tuple[object, ...] = (None, "", [], {})

SETS = ("tags", "inboundRules", "outboundRules")
"""Outputs that the official plugins put in the order of a hash, and the API in its own."""


def official(resource: dict[str, Any]) -> dict[str, Any]:
    """Give a resource of an exported state the form that the official plugins give it."""
    form = FORMS[resource["type"]]
    inputs, outputs = decoded(resource["inputs"]), decoded(resource["outputs"])
    wanted = _inputs(form["inputs"], inputs)
    if resource["type"] == COMMAND:  # what it has, the program says
        return resource | {
            "inputs": encoded(wanted),
            "outputs": encoded(wanted | {name: outputs[name] for name in ("stdout", "stderr")}),
        }
    left_out = set(form["given"]) - set(inputs)
    values = {
        name: outputs.get(name) if name in left_out else _laid_over(each, outputs.get(name))
        for name, each in form["outputs"].items()
    }
    meta = {name: value for name, value in form["outputs"].items() if name == "__meta"}
    return resource | {"inputs": encoded(wanted), "outputs": encoded(values | {"id": resource["id"]} | meta)}


def in_another_order(resource: dict[str, Any]) -> dict[str, Any]:
    """Turn sets round."""
    outputs = resource["outputs"]
    turned = {name: outputs[name][::-1] for name in SETS if name in outputs}
    return resource | {"outputs": outputs | turned}


def _inputs(form: Any, made: Any) -> Any:
    """Take the inputs as they are, with the bookkeeping of the official ones, at every depth."""
    match made:
        case dict():
            form = form if isinstance(form, dict) else {}
            plain = {name: _inputs(form.get(name), each) for name, each in made.items() if not name.startswith("__")}
            return plain | {name: each for name, each in form.items() if name.startswith("__")}
        case list():
            return [_inputs(form[0] if form else None, each) for each in made]
    return made


def _laid_over(form: Any, made: Any) -> Any:
    """Take the form's names, and the values that were made; what is empty is so in the form's way."""
    match form, made:
        case dict(), dict():
            return {name: _laid_over(each, made.get(name)) for name, each in form.items()}
        case [dict() as item, *_], list():
            return [_laid_over(item, each) for each in made]
    return form if form in EMPTY and made in EMPTY else made


def secret_paths(value: Any, path: str = "") -> set[str]:
    """Name the secrets of decoded properties, and those within them."""
    match value:
        case Secret():
            return {path} | secret_paths(value.value, path)
        case dict():
            inner = (secret_paths(each, f"{path}.{name}" if path else name) for name, each in value.items())
            return set().union(*inner)
    return set()


def decoded(value: Any) -> Any:
    """Take secrets of a state that was exported with `--show-secrets` out of their envelopes."""
    match value:
        case {"plaintext": text} if value.get(SIGNATURE) == SECRET:
            return Secret(decoded(json.loads(text)))
        case dict():
            return {name: decoded(each) for name, each in value.items()}
        case list():
            return [decoded(each) for each in value]
    return value


def encoded(value: Any) -> Any:
    """Put secrets back."""
    match value:
        case Secret():
            return {SIGNATURE: SECRET, "plaintext": json.dumps(encoded(value.value), separators=(",", ":"))}
        case dict():
            return {name: encoded(each) for name, each in value.items()}
        case list():
            return [encoded(each) for each in value]
    return value
