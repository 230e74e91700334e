from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest

from launcher import repair
from launcher.errors import LauncherError
from launcher.report import Report
from launcher.stacks import state_file
from launcher.workspace import Workspace

TOKENS = {"digitalocean": "dop_v1_x", "cloudflare": "y"}


def lock(workspace: Workspace, pid: int, host: str | None = None, content: str | None = None) -> Path:
    folder = workspace.state / ".pulumi" / "locks" / "organization" / "triplane" / "lab"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{pid}.json"
    text = json.dumps({"pid": pid, "username": "root", "hostname": host or socket.gethostname()})
    path.write_text(text if content is None else content)
    return path


@pytest.fixture
def living_engine(tmp_path: Path) -> Iterator[int]:
    """A process that the kernel calls pulumi."""
    program = tmp_path / "pulumi"
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([program, "60"])
    yield process.pid
    process.kill()
    process.wait()


@pytest.fixture
def dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


REPEATABLE = {"digitalocean:index/tag:Tag"}
"""A tag that exists is not an error to its creation."""


def test_leftovers_of_an_interrupted_run_are_found_for_any_type() -> None:
    plugins = [import_module(f"lab.plugins.{name}").plugin() for name in ("digitalocean", "cloudflare")]
    made = {token for plugin in plugins for token in plugin.resources}
    assert {*repair.COLLECTIONS, repair.RECORD} | REPEATABLE == made


def test_the_lock_of_a_dead_engine_is_cleared(workspace: Workspace, dead_pid: int) -> None:
    path = lock(workspace, dead_pid)
    assert repair.clear_stale_locks(workspace, "lab") == []
    assert not path.exists()


def test_the_lock_of_a_living_engine_is_left_and_told(workspace: Workspace, living_engine: int) -> None:
    path = lock(workspace, living_engine)
    assert [held.pid for held in repair.clear_stale_locks(workspace, "lab")] == [living_engine]
    assert path.exists()


def test_a_reused_pid_holds_no_lock(workspace: Workspace) -> None:
    path = lock(workspace, os.getpid())
    assert repair.clear_stale_locks(workspace, "lab") == []
    assert not path.exists()


def test_a_lock_of_another_machine_is_not_ours_to_judge(workspace: Workspace, dead_pid: int) -> None:
    path = lock(workspace, dead_pid, host="elsewhere")
    assert len(repair.clear_stale_locks(workspace, "lab")) == 1
    assert path.exists()


def test_a_lock_that_was_cut_off_while_written_is_cleared(workspace: Workspace) -> None:
    path = lock(workspace, 1, content='{"pid": ')
    assert repair.clear_stale_locks(workspace, "lab") == []
    assert not path.exists()


def operation(kind: str, name: str, what: str = "creating", **inputs: str) -> dict[str, Any]:
    urn = f"urn:pulumi:lab::triplane::{kind}::{name}"
    return {"type": what, "resource": {"urn": urn, "type": kind, "inputs": {"name": name, **inputs}}}


def test_unfinished_steps_are_read_from_the_state() -> None:
    latest = {
        "pending_operations": [operation("digitalocean:index/vpc:Vpc", "net"), operation("x:y:Z", "a", "deleting")]
    }
    assert [(step.type, step.operation) for step in repair.pending(latest)] == [
        ("digitalocean:index/vpc:Vpc", "creating"),
        ("x:y:Z", "deleting"),
    ]
    assert repair.pending({"resources": []}) == []


def cloud(answers: dict[str, Any], calls: list[str] | None = None) -> repair.Cloud:
    """A cloud that has `answers`: path → JSON (or status codes of one call after the other), for the right token."""

    def handle(request: httpx.Request) -> httpx.Response:
        token = TOKENS["cloudflare" if request.url.path.startswith("/client/v4") else "digitalocean"]
        if request.headers["authorization"] != f"Bearer {token}":
            return httpx.Response(401)
        if calls is not None:
            calls.append(f"{request.method} {request.url.path}")
        answer = answers[request.url.path]
        return httpx.Response(answer.pop(0)) if isinstance(answer, list) else httpx.Response(200, json=answer)

    return repair.Cloud("http://lab:8000", TOKENS, transport=httpx.MockTransport(handle))


def step(kind: str, name: str, **inputs: str) -> repair.Pending:
    (found,) = repair.pending({"pending_operations": [operation(kind, name, **inputs)]})
    return found


DROPLET = "digitalocean:index/droplet:Droplet"


def test_an_unrecorded_droplet_is_found_by_name() -> None:
    made = cloud({"/v2/droplets": {"droplets": [{"id": 7, "name": "etcd-0.d"}, {"id": 8, "name": "etcd-1.d"}]}})
    assert made.made(step(DROPLET, "etcd-1.d"), known=set()) == ["v2/droplets/8"]
    assert made.made(step(DROPLET, "etcd-2.d"), known=set()) == []


def test_what_the_state_has_is_not_taken_for_the_unfinished_step() -> None:
    """A replacement makes the new one beside the old one, under the same name."""
    made = cloud({"/v2/droplets": {"droplets": [{"id": 7, "name": "etcd-0.d"}, {"id": 9, "name": "etcd-0.d"}]}})
    assert made.made(step(DROPLET, "etcd-0.d"), known={"7"}) == ["v2/droplets/9"]


def test_keys_networks_and_firewalls_are_found_by_name() -> None:
    made = cloud(
        {
            "/v2/account/keys": {"ssh_keys": [{"id": 3, "name": "deploy"}]},
            "/v2/vpcs": {"vpcs": [{"id": "u-1", "name": "net"}]},
            "/v2/firewalls": {"firewalls": [{"id": "u-2", "name": "wall"}]},
        }
    )
    assert made.made(step("digitalocean:index/sshKey:SshKey", "deploy"), set()) == ["v2/account/keys/3"]
    assert made.made(step("digitalocean:index/vpc:Vpc", "net"), set()) == ["v2/vpcs/u-1"]
    assert made.made(step("digitalocean:index/firewall:Firewall", "wall"), set()) == ["v2/firewalls/u-2"]


def test_one_of_several_dns_records_is_found_by_its_address() -> None:
    records = [
        {"id": "r1", "name": "api.d", "type": "A", "content": "198.18.0.10"},
        {"id": "r2", "name": "api.d", "type": "A", "content": "198.18.0.11"},
    ]
    made = cloud({"/client/v4/zones/z1/dns_records": {"result": records}})
    wanted = step("cloudflare:index/dnsRecord:DnsRecord", "api.d", zoneId="z1", type="A", content="198.18.0.11")
    assert made.made(wanted, set()) == ["client/v4/zones/z1/dns_records/r2"]


@pytest.mark.parametrize("kind", ["command:remote:Command", "digitalocean:index/tag:Tag"])
def test_what_can_simply_be_repeated_needs_no_look_at_the_cloud(kind: str) -> None:
    assert cloud({}).made(step(kind, "etcd"), set()) == []


def test_a_resource_still_in_creation_is_removed_once_it_exists() -> None:
    calls: list[str] = []
    cloud({"/v2/droplets/8": [422, 204]}, calls).remove("v2/droplets/8")
    assert calls == ["DELETE /v2/droplets/8"] * 2


def test_what_went_away_by_itself_is_no_error() -> None:
    cloud({"/v2/droplets/8": [404]}).remove("v2/droplets/8")


def test_a_cloud_that_does_not_answer_is_named_without_its_token() -> None:
    broken = repair.Cloud("http://lab:8000", TOKENS, httpx.MockTransport(lambda request: httpx.Response(503)))
    with pytest.raises(LauncherError, match="503") as error:
        broken.made(step(DROPLET, "etcd"), set())
    assert "dop_v1_x" not in str(error.value)


@pytest.fixture
def orphan(workspace: Workspace) -> Iterator[int]:
    """A process that outlived who started it, as a plugin does its engine."""
    shell = subprocess.run(
        ["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!"],
        env={"PATH": "/usr/bin:/bin", "PULUMI_HOME": str(workspace.pulumi_home)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    pid = int(shell.stdout)
    while Path(f"/proc/{pid}/comm").read_text() != "sleep\n":  # until then it is still a shell
        time.sleep(0.01)
    yield pid
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def parent_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]


def test_only_the_plugins_of_a_dead_engine_are_ended(workspace: Workspace, orphan: int) -> None:
    if parent_of(orphan) != "1":
        pytest.fail("orphans go to another process than 1 here")
    environment = {"PATH": "/usr/bin:/bin", "PULUMI_HOME": str(workspace.pulumi_home)}
    living = subprocess.Popen(["sleep", "60"], env=environment)
    try:
        assert repair.end_orphans(workspace) == [orphan]
        assert living.poll() is None
    finally:
        living.kill()
        living.wait()


class Engine:
    """Notes what it is asked to do."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.report = Report()
        self.asked: list[tuple[tuple[str, ...], str]] = []

    def capture(self, *arguments: str, stack: str) -> str:
        self.asked.append((arguments, stack))
        return ""


def record(workspace: Workspace, **latest: Any) -> None:
    path = state_file(workspace, "lab")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": 3, "checkpoint": {"stack": "lab", "latest": latest}}))


def test_a_droplet_of_an_interrupted_run_is_removed(workspace: Workspace) -> None:
    record(workspace, resources=[{"urn": "u", "id": "7"}], pending_operations=[operation(DROPLET, "etcd-0.d")])
    calls: list[str] = []
    droplets = {"droplets": [{"id": 7, "name": "etcd-0.d"}, {"id": 8, "name": "etcd-0.d"}]}
    engine: Any = Engine(workspace)
    repair.finish_interrupted(engine, "lab", cloud({"/v2/droplets": droplets, "/v2/droplets/8": [204]}, calls))
    assert calls == ["GET /v2/droplets", "DELETE /v2/droplets/8"]
    assert engine.asked == [(("refresh", "--yes", "--skip-preview", "--clear-pending-creates"), "lab")]


def test_a_deletion_that_was_cut_off_removes_nothing_by_itself(workspace: Workspace) -> None:
    record(workspace, resources=[], pending_operations=[operation(DROPLET, "etcd-0.d", "deleting")])
    calls: list[str] = []
    engine: Any = Engine(workspace)
    repair.finish_interrupted(engine, "lab", cloud({}, calls))
    assert calls == []


def test_a_run_that_ended_by_itself_needs_no_repair(workspace: Workspace) -> None:
    record(workspace, resources=[{"urn": "u", "id": "7"}])
    engine: Any = Engine(workspace)
    repair.finish_interrupted(engine, "lab", cloud({}))
    assert engine.asked == []
