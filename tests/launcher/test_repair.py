from __future__ import annotations

import json
import os
import socket
import subprocess

import httpx
import pytest

from launcher import repair
from launcher.errors import LauncherError

TOKENS = {"digitalocean": "dop_v1_x", "cloudflare": "y"}


def lock(workspace, pid, host=None, content=None):
    folder = workspace.state / ".pulumi" / "locks" / "organization" / "triplane" / "lab"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{pid}.json"
    text = json.dumps({"pid": pid, "username": "root", "hostname": host or socket.gethostname()})
    path.write_text(text if content is None else content)
    return path


@pytest.fixture
def living_engine(tmp_path):
    """A process that the kernel calls pulumi."""
    program = tmp_path / "pulumi"
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([program, "60"])
    yield process.pid
    process.kill()
    process.wait()


@pytest.fixture
def dead_pid():
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_the_lock_of_a_dead_engine_is_cleared(workspace, dead_pid):
    path = lock(workspace, dead_pid)
    assert repair.clear_stale_locks(workspace, "lab") == []
    assert not path.exists()


def test_the_lock_of_a_living_engine_is_left_and_told(workspace, living_engine):
    path = lock(workspace, living_engine)
    assert [held.pid for held in repair.clear_stale_locks(workspace, "lab")] == [living_engine]
    assert path.exists()


def test_a_number_that_passed_on_to_another_program_holds_no_lock(workspace):
    path = lock(workspace, os.getpid())
    assert repair.clear_stale_locks(workspace, "lab") == []
    assert not path.exists()


def test_a_lock_of_another_machine_is_not_ours_to_judge(workspace, dead_pid):
    path = lock(workspace, dead_pid, host="elsewhere")
    assert len(repair.clear_stale_locks(workspace, "lab")) == 1
    assert path.exists()


def test_a_lock_that_was_cut_off_while_written_is_cleared(workspace):
    path = lock(workspace, 1, content='{"pid": ')
    assert repair.clear_stale_locks(workspace, "lab") == []
    assert not path.exists()


def operation(kind, name, what="creating", **inputs):
    urn = f"urn:pulumi:lab::triplane::{kind}::{name}"
    return {"type": what, "resource": {"urn": urn, "type": kind, "inputs": {"name": name, **inputs}}}


def test_unfinished_steps_are_read_from_the_state():
    latest = {
        "pending_operations": [operation("digitalocean:index/vpc:Vpc", "net"), operation("x:y:Z", "a", "deleting")]
    }
    assert [(step.type, step.operation) for step in repair.pending(latest)] == [
        ("digitalocean:index/vpc:Vpc", "creating"),
        ("x:y:Z", "deleting"),
    ]
    assert repair.pending({"resources": []}) == []


def cloud(answers):
    """A cloud that has `answers`: path → JSON, for those who show the right token."""

    def handle(request: httpx.Request) -> httpx.Response:
        token = TOKENS["cloudflare" if request.url.path.startswith("/client/v4") else "digitalocean"]
        if request.headers["authorization"] != f"Bearer {token}":
            return httpx.Response(401)
        return httpx.Response(200, json=answers[request.url.path])

    return repair.Cloud("http://lab:8000", TOKENS, transport=httpx.MockTransport(handle))


def step(kind, name, **inputs):
    (found,) = repair.pending({"pending_operations": [operation(kind, name, **inputs)]})
    return found


def test_a_droplet_that_was_made_and_not_recorded_is_found_by_name():
    made = cloud({"/v2/droplets": {"droplets": [{"id": 7, "name": "etcd-0.d"}, {"id": 8, "name": "etcd-1.d"}]}})
    droplet = "digitalocean:index/droplet:Droplet"
    assert made.find(step(droplet, "etcd-1.d"), known=set()) == "8"
    assert made.find(step(droplet, "etcd-2.d"), known=set()) is None


def test_what_the_state_has_is_not_taken_for_the_unfinished_step():
    """A replacement makes the new one beside the old one, under the same name."""
    made = cloud({"/v2/droplets": {"droplets": [{"id": 7, "name": "etcd-0.d"}, {"id": 9, "name": "etcd-0.d"}]}})
    assert made.find(step("digitalocean:index/droplet:Droplet", "etcd-0.d"), known={"7"}) == "9"


def test_keys_tags_networks_and_firewalls_are_found_by_name():
    made = cloud(
        {
            "/v2/account/keys": {"ssh_keys": [{"id": 3, "name": "deploy"}]},
            "/v2/tags": {"tags": [{"name": "etcd"}]},
            "/v2/vpcs": {"vpcs": [{"id": "u-1", "name": "net"}]},
            "/v2/firewalls": {"firewalls": [{"id": "u-2", "name": "wall"}]},
        }
    )
    assert made.find(step("digitalocean:index/sshKey:SshKey", "deploy"), set()) == "3"
    assert made.find(step("digitalocean:index/tag:Tag", "etcd"), set()) == "etcd"
    assert made.find(step("digitalocean:index/vpc:Vpc", "net"), set()) == "u-1"
    assert made.find(step("digitalocean:index/firewall:Firewall", "wall"), set()) == "u-2"


def test_one_of_several_records_of_a_name_is_found_by_its_address():
    records = [
        {"id": "r1", "name": "api.d", "type": "A", "content": "198.18.0.10"},
        {"id": "r2", "name": "api.d", "type": "A", "content": "198.18.0.11"},
    ]
    made = cloud({"/client/v4/zones/z1/dns_records": {"result": records}})
    wanted = step("cloudflare:index/dnsRecord:DnsRecord", "api.d", zoneId="z1", type="A", content="198.18.0.11")
    assert made.find(wanted, set()) == "r2"


def test_steps_that_make_nothing_in_the_cloud_need_no_look_there():
    assert cloud({}).find(step("command:remote:Command", "etcd"), set()) is None


def test_a_cloud_that_does_not_answer_is_named():
    broken = repair.Cloud("http://lab:8000", TOKENS, httpx.MockTransport(lambda request: httpx.Response(503)))
    with pytest.raises(LauncherError, match="503") as error:
        broken.find(step("digitalocean:index/tag:Tag", "etcd"), set())
    assert "dop_v1_x" not in str(error.value)


def test_what_was_made_is_taken_in_and_the_rest_dropped():
    assert repair.refresh_arguments([("urn:a", "7"), ("urn:b", "u-1")]) == [
        *("refresh", "--yes", "--skip-preview"),
        *("--import-pending-creates", "urn:a", "--import-pending-creates", "7"),
        *("--import-pending-creates", "urn:b", "--import-pending-creates", "u-1"),
        "--clear-pending-creates",
    ]
