"""Holds the lab's answers to DigitalOcean's published shapes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

HEADERS = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "x-request-id")
ROOT = "urn:shapes"


@cache
def published() -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(
        (Path(__file__).parent / "digitalocean-v2.schemas.yaml").read_text(), yaml.CSafeLoader
    )
    return found


@cache
def _validator(template: str, method: str, code: int | str) -> Draft202012Validator:
    schema = json.loads(json.dumps(published()["paths"][template][method][code]).replace('"#/', f'"{ROOT}#/'))
    registry = Registry().with_resource(ROOT, DRAFT202012.create_resource(published()))
    return Draft202012Validator(schema, registry=registry, format_checker=Draft202012Validator.FORMAT_CHECKER)


def _template(path: str) -> str | None:
    # The fixed path wins over the one with a hole: /v2/droplets/actions over /v2/droplets/{droplet_id}.
    for template in sorted(published()["paths"], key=lambda text: text.count("{")):
        if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", template), path):
            return str(template)
    return None


def faults(method: str, path: str, status: int, headers: Mapping[str, str], content: bytes) -> list[str]:
    """Everything that is wrong with one answer."""
    where = f"{method} {path} → {status}"
    wrong = [f"{where}: no header {name}" for name in HEADERS if name not in headers]
    template = _template(path)
    answers = published()["paths"].get(template, {}).get(method)
    if answers is None:
        # What the published description does not have, the lab refuses, in the common shape of errors.
        wrong += [] if status in (401, 404, 405, 429) else [f"{where}: not published, yet answered"]
        return wrong + _misfits(_validator("/v2/account", "GET", "default"), where, content)
    code: int | str = status if status in answers else "default"
    if status < 400 and code == "default":
        return [*wrong, f"{where}: published are {list(answers)}"]
    if answers[code] is None:
        return wrong + ([f"{where}: a body where there should be none: {content!r}"] if content else [])
    return wrong + _misfits(_validator(str(template), method, code), where, content)


def _misfits(validator: Draft202012Validator, where: str, content: bytes) -> list[str]:
    return [f"{where}: {error.json_path}: {error.message}" for error in validator.iter_errors(json.loads(content))]
