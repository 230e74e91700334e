"""The calls that the official Pulumi plugins were seen to make, replayed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import yaml

from lab.cloud import ZONE_ID
from lab.tests.cloud.service import Service
from tests.waiting import wait_for

SCENES = yaml.safe_load((Path(__file__).parent / "official-plugins.calls.yaml").read_text())


def pick(body: Any, path: str) -> Any:
    """Follow `a.b.0.c` into a JSON body."""
    for step in path.split("."):
        body = body[int(step)] if isinstance(body, list) else body[step]
    return body


def filled(value: Any, kept: dict[str, str]) -> Any:
    text = json.dumps(value)
    for name, found in kept.items():
        text = text.replace(f"{{{name}}}", found)
    return json.loads(text)


def test_a_recorded_run_of_the_official_plugins_works(service: Service) -> None:
    kept = {"zone": ZONE_ID}
    with service.digitalocean() as digitalocean, service.cloudflare() as cloudflare:
        for scene in SCENES:
            for step in scene["calls"]:
                client = cloudflare if scene["about"].startswith("cloudflare") else digitalocean
                replay(client, f"{scene['about']}: {step['call']}", step, kept)


def replay(client: httpx.Client, where: str, step: dict[str, Any], kept: dict[str, str]) -> None:
    method, path = filled(step["call"], kept).split(" ")
    answers: list[httpx.Response] = []

    def call() -> bool:
        answers.append(client.request(method, path, json=filled(step["body"], kept) if "body" in step else None))
        return all(pick(answers[-1].json(), key) == value for key, value in step.get("until", {}).items())

    wait_for(where, call)
    answer = answers[-1]
    assert answer.status_code == step["status"], f"{where}: {answer.status_code} {answer.text}"
    for key, value in step.get("answer", {}).items():
        assert pick(answer.json(), key) == filled(value, kept), f"{where}: {key} in {answer.text}"
    for name, key in step.get("keep", {}).items():
        kept[name] = str(pick(answer.json(), key))
