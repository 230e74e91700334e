"""With the real pulumi: its words, its exit codes and its encrypted configuration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.tests.cloud.service import Service
from tests.doctor.conftest import SETTINGS
from toolchain import engine

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]
PASSPHRASE = {"PULUMI_CONFIG_PASSPHRASE": "a passphrase"}


class Checkout:
    """A project folder with a stack `prod`, in a backend of its own."""

    def __init__(self, folder: Path, service: Service) -> None:
        self.folder = folder
        (folder / "state").mkdir(parents=True)
        folders = dict.fromkeys(str(path.parent) for path in engine().values())
        self.environment = {
            "PATH": os.pathsep.join([*folders, "/usr/bin:/bin"]),
            "HOME": str(folder),
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        (folder / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
        self.pulumi("stack", "init", "prod")
        for name, token in (
            ("digitalocean:token", service.cloud.tokens.digitalocean),
            ("cloudflare:apiToken", service.cloud.tokens.cloudflare),
        ):
            self.pulumi("config", "set", "--secret", name, stdin=token)
        file = folder / "Pulumi.prod.yaml"
        content = yaml.safe_load(file.read_text())
        content["config"] |= {
            "digitalocean:apiEndpoint": service.url,
            "cloudflare:baseUrl": f"{service.url}/client/v4",
            **{f"triplane:{name}": value for name, value in SETTINGS.items()},
        }
        file.write_text(yaml.safe_dump(content))

    def pulumi(self, *arguments: str, stdin: str = "") -> None:
        subprocess.run(
            ["pulumi", *arguments, "--stack", "prod", "--non-interactive"]
            if arguments[0] == "config"
            else ["pulumi", *arguments, "--non-interactive"],
            cwd=self.folder,
            env=self.environment | PASSPHRASE,
            input=stdin,
            text=True,
            check=True,
            capture_output=True,
        )

    def doctor(self, *arguments: str, **environment: str) -> tuple[int, dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, "-m", "doctor", "--cwd", str(self.folder), "--json", *arguments],
            cwd=ROOT,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        told: dict[str, Any] = json.loads(done.stdout)
        return done.returncode, told | {"checks": {each["check"]: each for each in told["checks"]}}


@pytest.fixture
def checkout(tmp_path: Path, service: Service) -> Checkout:
    return Checkout(tmp_path / "checkout", service)


def test_the_doctor_reads_a_stack_as_pulumi_keeps_it(checkout: Checkout) -> None:
    code, told = checkout.doctor("--stack", "prod", "--address", "203.0.113.7", **PASSPHRASE)
    assert {name for name, each in told["checks"].items() if each["state"] == "wrong"} == set()
    assert code == 0
    assert told["stack"] == "prod"
    assert told["checks"]["stack and settings"]["found"].startswith("prod: 5 hosts in fra1")
    assert told["checks"]["pulumi"]["state"] == "ok"
    assert "The engine downloads digitalocean" in told["checks"]["provider plugins"]["found"]


def test_what_pulumi_cannot_read_is_told_in_its_words(checkout: Checkout) -> None:
    code, told = checkout.doctor("--stack", "prod")
    assert code == 1
    assert "passphrase must be set" in told["checks"]["stack and settings"]["found"]
    code, told = checkout.doctor("--stack", "prodd", **PASSPHRASE)
    assert code == 1
    assert "no stack named 'prodd' found" in told["checks"]["stack and settings"]["found"]
