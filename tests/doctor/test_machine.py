"""The operator's machine: each check with a good case and a bad one."""

from __future__ import annotations

import json
import socket
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from doctor import machine
from doctor.findings import State
from doctor.stack import Pulumi
from tests.doctor.pulumi import FakePulumi

PINS = machine.pinned(machine.REQUIREMENTS.read_text())


def test_every_package_in_the_requirements_has_a_version() -> None:
    assert PINS["pulumi"] == metadata.version("pulumi")
    assert {"pulumi-digitalocean", "pulumi-cloudflare", "pulumi-tls", "pulumi-command"} <= set(PINS)


def test_packages_as_required_are_well() -> None:
    assert machine.packages(PINS).state is State.OK


def test_packages_of_other_versions_or_none_are_told() -> None:
    def installed(name: str) -> str:
        if name == "pydantic":
            raise metadata.PackageNotFoundError(name)
        return "4.0.0" if name == "pulumi-digitalocean" else PINS[name]

    found = machine.packages(PINS, installed)
    assert found.state is State.WRONG
    assert f"pulumi-digitalocean is 4.0.0, not {PINS['pulumi-digitalocean']}" in found.found
    assert f"pydantic is missing, not {PINS['pydantic']}" in found.found
    assert "pip install -r requirements.txt" in found.advice


@pytest.mark.parametrize(
    ("version", "state"), [(f"v{PINS['pulumi']}", State.OK), ("v3.999.0", State.OK), ("v3.99.1", State.WRONG)]
)
def test_a_pulumi_older_than_its_sdk_is_told(fake_pulumi: FakePulumi, version: str, state: State) -> None:
    fake_pulumi.answers["version"] = version
    assert machine.engine(fake_pulumi.pulumi, PINS).state is state


def test_a_machine_without_pulumi_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = machine.engine(Pulumi(directory=tmp_path), PINS)
    assert found.state is State.WRONG
    assert "not on PATH" in found.found


def plugins(**versions: str) -> str:
    wanted = {name.removeprefix("pulumi-"): version for name, version in PINS.items() if name.startswith("pulumi-")}
    listed = [{"name": name, "kind": "resource", "version": version} for name, version in (wanted | versions).items()]
    return json.dumps([*listed, {"name": "python", "kind": "language", "version": None}])


def test_the_sdks_own_plugins_are_well(fake_pulumi: FakePulumi) -> None:
    fake_pulumi.answers["plugin"] = plugins()
    found = machine.plugins(fake_pulumi.pulumi, PINS, {})
    assert found.state is State.OK
    assert f"digitalocean {PINS['pulumi-digitalocean']}" in found.found


@pytest.mark.parametrize(("environment", "state"), [({}, State.NOTE), ({machine.NO_DOWNLOAD: "true"}, State.WRONG)])
def test_a_plugin_of_another_version_is_fetched_unless_forbidden(
    fake_pulumi: FakePulumi, environment: dict[str, str], state: State
) -> None:
    fake_pulumi.answers["plugin"] = plugins(tls="4.0.0")
    found = machine.plugins(fake_pulumi.pulumi, PINS, environment)
    assert found.state is state
    assert f"tls {PINS['pulumi-tls']}" in found.found
    assert "digitalocean" not in found.found


def test_no_agent_is_well() -> None:
    assert machine.agent({}).state is State.OK


def test_an_agent_that_answers_is_well(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "agent"))
        server.listen()
        assert machine.agent({"SSH_AUTH_SOCK": str(tmp_path / "agent")}).state is State.OK


@pytest.mark.parametrize("left", [False, True], ids=["gone", "nobody listens"])
def test_a_stale_agent_is_told(tmp_path: Path, left: Any) -> None:
    path = tmp_path / "agent"
    if left:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    found = machine.agent({"SSH_AUTH_SOCK": str(path)})
    assert found.state is State.WRONG
    assert "env -u SSH_AUTH_SOCK pulumi up" in found.advice
