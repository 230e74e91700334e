"""The whole of it: `python -m doctor` against the lab's API."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from doctor import __main__ as doctor
from lab.tests.cloud.service import Service
from tests.doctor.altered import Altered
from tests.doctor.conftest import SETTINGS
from tests.doctor.pulumi import FakePulumi
from tests.doctor.test_machine import PINS, plugins
from tests.doctor.world import World
from tests.documents import table
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]


@pytest.fixture
def stack(fake_pulumi: FakePulumi, service: Service, monkeypatch: pytest.MonkeyPatch) -> FakePulumi:
    """A stack with nothing wrong, in an account that is ready for it."""
    for name in ("SSH_AUTH_SOCK", "DIGITALOCEAN_TOKEN", "CLOUDFLARE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    fake_pulumi.answers["version"] = f"v{PINS['pulumi']}"
    fake_pulumi.answers["plugin"] = plugins()
    fake_pulumi.answers["stack"] = "prod"
    fake_pulumi.answers["stack export"] = json.dumps({"version": 3, "deployment": {}})
    configure(fake_pulumi, service)
    return fake_pulumi


def configure(fake: FakePulumi, service: Service, **settings: Any) -> None:
    tokens = service.cloud.tokens
    plain = {
        "digitalocean:apiEndpoint": service.url,
        "cloudflare:baseUrl": f"{service.url}/client/v4",
        **{f"triplane:{name}": value for name, value in (SETTINGS | settings).items()},
    }
    secret = {"digitalocean:token": tokens.digitalocean, "cloudflare:apiToken": tokens.cloudflare}
    entries = {
        name: {"value": value if isinstance(value, str) else json.dumps(value), "secret": name in secret}
        for name, value in (plain | secret).items()
    }
    fake.answers["config"] = json.dumps(entries)


def run(stack: FakePulumi, world: World, *more: str) -> int:
    return doctor.main(["--cwd", str(stack.folder), "--stack", "prod", "--outside", world.url, *more])


def test_a_stack_with_nothing_wrong_is_well(
    stack: FakePulumi, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.name_servers["triplane.test"] = ["ns1.triplane.test.", "ns2.triplane.test."]
    assert run(stack, world) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    checks, end = lines[: lines.index("")], lines[lines.index("") + 1 :]
    assert {line.split()[0] for line in checks} == {"ok", "note"}
    assert [" ".join(line.split()[:3]) for line in checks if line.startswith("note")] == ["note ports outbound"]
    assert end[0] == "Cost: 42.00 US dollars a month, 0.062 an hour."
    assert end[2].startswith("Time: about 6 to 11 minutes")
    assert end[-1] == f"{len(checks)} checks: 0 wrong, 1 to note. Nothing was changed."


def test_every_line_is_explained(stack: FakePulumi, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    run(stack, world, "--json")
    checks = {check["check"] for check in json.loads(capsys.readouterr().out)["checks"]}
    explained = {name for line, _ in table("docs/first-run.md", "Its line") for name in re.findall(r"`([^`]+)`", line)}
    assert checks == explained


def test_only_get_is_sent(stack: FakePulumi, world: World, lab: Altered, service: Service) -> None:
    run(stack, world)
    assert {method for method, _ in lab.asked} == {"GET"}
    assert len(lab.asked) > 15
    log = (service.directory / "api.log").read_text().splitlines()
    own = [line.split()[2] for line in log][-len(lab.asked) :]
    assert set(own) == {"GET"}


def test_no_token_is_shown_or_handed_on(
    stack: FakePulumi,
    world: World,
    service: Service,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokens = service.cloud.tokens
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", tokens.digitalocean)
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", tokens.cloudflare)
    run(stack, world)
    run(stack, world, "--json")
    out, err = capsys.readouterr()
    children = json.dumps(stack.asked)
    for token in (tokens.digitalocean, tokens.cloudflare):
        assert token not in out + err + children


def test_pulumi_is_asked_questions_only(stack: FakePulumi, world: World) -> None:
    run(stack, world)
    questions = {" ".join(argv[5:]) for argv, _ in stack.asked}
    assert questions == {
        "version",
        "plugin ls --json",
        "stack --show-name --stack prod",
        "config --json --show-secrets --stack prod",
        "stack export --stack prod",
    }


def test_what_is_wrong_makes_the_exit_code_1(
    stack: FakePulumi, world: World, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(stack, service, image="ubuntu-22-04-x64")
    assert run(stack, world, "--json") == 1
    told = json.loads(capsys.readouterr().out)
    wrong = {check["check"] for check in told["checks"] if check["state"] == "wrong"}
    assert wrong == {"image", "delegation"}
    assert told["cost"] == {
        "usdAMonth": 42,
        "usdAnHour": 0.0625,
        "source": f"today's prices of 127.0.0.1:{urlsplit(service.url).port}",
        "unpriced": [],
    }
    assert told["minutes"] == {"least": 6, "most": 11}


def test_setting_mistakes_are_listed_by_line_and_stop_the_run(
    stack: FakePulumi, world: World, service: Service, lab: Altered, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(stack, service, sshAllowed=["0.0.0.0/0"], domain="example.org")
    assert run(stack, world) == 1
    wrong = [line for line in capsys.readouterr().out.splitlines() if line.startswith("WRONG")]
    assert [line.split()[4].split("[")[0] for line in wrong] == ["triplane:domain", "triplane:sshAllowed"]
    assert lab.asked == []


@pytest.mark.parametrize(
    "said", ["no stack named 'prod' found", "passphrase must be set with PULUMI_CONFIG_PASSPHRASE"]
)
def test_a_stack_that_cannot_be_read_is_told(
    stack: FakePulumi, world: World, capsys: pytest.CaptureFixture[str], said: str
) -> None:
    stack.answers["stack" if "named" in said else "config"] = f"error: {said}"
    assert run(stack, world) == 1
    out = capsys.readouterr().out
    assert f"WRONG  stack and settings     {said}." in out
    assert "pulumi stack init prod" in out


def test_a_refused_token_stops_only_the_checks_of_its_cloud(
    stack: FakePulumi, world: World, lab: Altered, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.refuse("/v2/account", 401, "unauthorized", "Unable to authenticate you")
    assert run(stack, world, "--json") == 1
    told = json.loads(capsys.readouterr().out)
    states = {check["check"]: (check["state"], check["found"]) for check in told["checks"]}
    assert states["digitalocean token"][0] == "wrong"
    assert states["droplet limit"] == ("note", "Not checked: see digitalocean token.")
    assert states["zone"][0] == "ok"


def test_without_the_api_the_table_has_the_prices(
    stack: FakePulumi, world: World, lab: Altered, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.refuse("/v2/sizes", 403)
    run(stack, world, "--json")
    cost = json.loads(capsys.readouterr().out)["cost"]
    assert (cost["usdAMonth"], cost["source"]) == (42, "the list prices that Triplane knows")


@pytest.mark.parametrize(
    "arguments", [["--fast"], ["--address", "2001:db8::1"], ["--outside", "1.1.1.1"], ["--cwd", "/proc"], ["prod"]]
)
def test_bad_use_is_refused_with_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        doctor.main(arguments)
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_help_tells_the_options_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        doctor.main(["--help"])
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    for word in (
        "--stack",
        "--json",
        "--address",
        "--dial",
        "--outside",
        "--cwd",
        "0 where nothing is WRONG",
        "only GET",
    ):
        assert word in said


def test_ctrl_c_ends_it_without_a_traceback(fake_pulumi: FakePulumi) -> None:
    program = fake_pulumi.folder / "pulumi"
    program.write_text(f"#!/bin/sh\n: >{fake_pulumi.folder}/started\nexec sleep 60\n")
    process = subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-m", "doctor", "--cwd", str(fake_pulumi.folder)],
        cwd=ROOT,
        env=os.environ | {"PATH": f"{fake_pulumi.folder}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for("pulumi is asked", (fake_pulumi.folder / "started").exists)
    os.killpg(process.pid, signal.SIGINT)
    _out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "stopped; nothing was changed\n")
