"""The stand-ins under the real engine."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from lab.cloud import ZONE_ID
from lab.tests.cloud.service import Server, Service
from lab.tests.plugins import official
from lab.tests.plugins.recording import Recorder
from lab.tests.plugins.ssh_host import Host
from lab.tests.plugins.stack import Stack
from tests.waiting import wait_for

pytestmark = pytest.mark.engine

PROGRAM = Path(__file__).with_name("program.py").read_text()

BOGUS = """\
import pulumi
pulumi.CustomResource("tls:index/privateKey:PrivateKey", "key", {"algorithm": "RSA", "size": 4096})
"""

RESOURCES = 13
"""Of the program's; the stack itself comes on top."""

READ_FROM_THE_CLOUD = 6


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    host = Host()
    stop = host.start()
    yield host
    stop()


@pytest.fixture(scope="module")
def cloud(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with server.serving(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture(scope="module")
def recorder(cloud: Service) -> Recorder:
    return Recorder.before(cloud)


def settings(cloud: Service, host: Host) -> dict[str, Any]:
    connection = host.connection()
    return {
        "digitalocean:token": cloud.cloud.tokens.digitalocean,
        "digitalocean:apiEndpoint": cloud.url,
        "cloudflare:apiToken": cloud.cloud.tokens.cloudflare,
        "cloudflare:baseUrl": f"{cloud.url}/client/v4",
        "tiny:zone": ZONE_ID,
        "tiny:range": "10.10.0.0/20",
        "tiny:size": "s-1vcpu-1gb",
        "tiny:userData": "#cloud-config\n",
        "tiny:names": ["etcd-0.tiny.triplane.test", "localhost"],
        "tiny:ports": ["2379", "2380"],
        "tiny:host": {name: connection[name] for name in ("host", "port", "hostKey")},
        "tiny:hostPrivateKey": connection["privateKey"],
        "tiny:command": "grep -c BEGIN; echo done",
        "tiny:stdin": "s3cr3t\n",
    }


@pytest.fixture(scope="module")
def stack(cloud: Service, host: Host, recorder: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The program, up; each test puts back what it changed."""
    stack = Stack(tmp_path_factory.mktemp("engine") / "stack", PROGRAM, settings(cloud, host))
    assert len(stack.plan()) == RESOURCES
    assert recorder.take() == host.commands == []  # a preview does nothing
    assert stack.up() == {"create": RESOURCES + 1}
    yield stack
    down = stack.pulumi("destroy", "--yes", "--skip-preview")
    assert down.code == 0, down.out + down.err
    with cloud.digitalocean() as client:
        assert client.get("/v2/droplets").json()["droplets"] == []
        assert client.get("/v2/firewalls").json()["firewalls"] == []
        assert client.get("/v2/tags").json()["tags"] == []
        assert client.get("/v2/account/keys").json()["ssh_keys"] == []
        assert [vpc for vpc in client.get("/v2/vpcs").json()["vpcs"] if not vpc["default"]] == []
    with cloud.cloudflare() as client:
        assert client.get(f"/zones/{ZONE_ID}/dns_records").json()["result"] == []


def test_a_second_run_does_nothing_and_asks_nothing(stack: Stack, recorder: Recorder, host: Host) -> None:
    recorder.take()
    commands = list(host.commands)
    assert stack.up() == {"same": RESOURCES + 1}
    assert recorder.take() == []
    assert host.commands == commands


def test_a_refresh_reads_each_resource_once_and_finds_no_change(stack: Stack, recorder: Recorder) -> None:
    recorder.take()
    assert stack.refresh() == {"same": RESOURCES + 1}
    asked = [f"{method} {path}" for method, path, _ in recorder.requests]
    assert len(asked) == len(set(asked)) == READ_FROM_THE_CLOUD
    assert all(each.startswith("GET ") for each in asked)
    assert stack.plan() == {}


def custom(state: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Give what the plugins wrote, by name."""
    found = [each for each in state["deployment"]["resources"] if each["type"] in official.FORMS]
    assert {each["type"] for each in found} == set(official.FORMS)
    return {each["urn"].rpartition("::")[2]: each for each in found}


def test_the_state_is_as_the_official_plugins_leave_it(stack: Stack) -> None:
    for name, made in custom(stack.exported()).items():
        expected = official.official(made)
        for side in ("inputs", "outputs"):
            assert official.decoded(made[side]) == official.decoded(expected[side]), (name, side)
        secrets = official.secret_paths(official.decoded(made["outputs"]))
        assert secrets == official.SECRETS.get(made["type"], set()), name


def test_in_an_official_state_there_is_nothing_to_do(stack: Stack, recorder: Recorder, host: Host) -> None:
    own = stack.exported()
    state = copy.deepcopy(own)
    for made in custom(state).values():
        made.update(official.in_another_order(official.official(made)))
    stack.take_over(state)
    recorder.take()
    commands = list(host.commands)
    try:
        for command in (["preview", "--diff"], ["refresh", "--yes", "--diff"], ["preview", "--diff", "--refresh"]):
            run = stack.pulumi(*command, "--expect-no-changes")
            assert run.code == 0, run.out + run.err
        assert stack.up() == {"same": RESOURCES + 1}
        assert all(method == "GET" for method, *_ in recorder.requests)
        assert host.commands == commands
    finally:
        stack.take_over(own)


def test_no_private_key_and_no_input_stands_in_the_state(stack: Stack) -> None:
    state = stack.state()
    assert "PUBLIC KEY" in state
    assert "PRIVATE KEY" not in state
    assert "s3cr3t" not in state
    assert "ciphertext" in state


def test_the_command_ran_with_the_key_on_its_input(stack: Stack, host: Host) -> None:
    assert host.commands[-1] == "grep -c BEGIN; echo done"
    assert stack.outputs()["stdout"] == "1\ndone"


def test_the_chain_that_comes_out_holds(stack: Stack) -> None:
    outputs = stack.outputs()
    ca, leaf = (x509.load_pem_x509_certificate(outputs[name].encode()) for name in ("ca", "leaf"))
    leaf.verify_directly_issued_by(ca)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["etcd-0.tiny.triplane.test", "localhost"]


@pytest.mark.parametrize(
    ("change", "plan"),
    [
        (
            {"size": "s-2vcpu-2gb", "stdin": "other\n", "ports": ["2379"]},
            {"droplet": "update", "install": "update", "firewall": "update"},
        ),
        (
            {"triggers": ["again"], "ports": ["2380", "2379"], "names": ["localhost"]},
            {"install": "replace", "request": "replace", "leaf": "replace"},
        ),
        (
            {"userData": "#cloud-config\nhostname: x\n", "command": "true"},
            {"droplet": "replace", "record": "update", "install": "update"},
        ),
        ({"range": "10.20.0.0/20"}, {"vpc": "replace", "droplet": "replace", "record": "update"}),
    ],
)
def test_a_change_plans_what_the_official_plugins_plan(
    stack: Stack, recorder: Recorder, change: dict[str, Any], plan: dict[str, str]
) -> None:
    before = {name: stack.config.get(f"tiny:{name}") for name in change}
    recorder.take()
    try:
        stack.configure(**change)
        assert stack.plan() == plan
        assert recorder.take() == []
    finally:
        stack.configure(**before)


def test_a_changed_input_runs_the_command_again_and_nothing_else(stack: Stack, host: Host, recorder: Recorder) -> None:
    recorder.take()
    count = len(host.commands)
    stack.configure(stdin="other\n")
    assert stack.up() == {"same": RESOURCES, "update": 1}
    assert len(host.commands) == count + 1
    assert recorder.take() == []


def test_a_refresh_drops_missing_cloud_resources_to_recreate(stack: Stack, cloud: Service) -> None:
    with cloud.digitalocean() as client:
        assert client.delete(f"/v2/droplets/{stack.outputs()['droplet']}").status_code == 204
    assert stack.refresh()["delete"] == 1
    assert stack.plan() == {"droplet": "create", "record": "update"}
    # A preview does not know the new droplet's address, which is the one that was freed.
    changes = stack.up()
    assert (changes["create"], changes.get("update", 0)) == (1, 0)
    assert stack.up() == {"same": RESOURCES + 1}


@pytest.mark.parametrize("wanted", [None, False], ids=["as the plugin says", "the program says otherwise"])
def test_a_named_droplet_is_deleted_before_it_is_replaced(
    stack: Stack, recorder: Recorder, host: Host, *, wanted: bool | None
) -> None:
    stack.configure(userData=f"#cloud-config\nhostname: {wanted}\n", deleteFirst=wanted)
    recorder.take()
    commands = list(host.commands)
    changes = stack.up()
    # A droplet that is made after the other one is gone gets its address.
    moved = wanted is not None
    replaced = changes.get("create-replacement", 0) + changes.get("replace", 0)
    assert (replaced, changes.get("update", 0)) == (1, int(moved)), changes
    calls = [(method, path.rsplit("/", maxsplit=1)[0]) for method, path, _ in recorder.requests]
    made, deleted = calls.index(("POST", "/v2")), calls.index(("DELETE", "/v2/droplets"))
    assert (deleted < made) is (wanted is None)
    # The name follows in place, and what hangs on it by its address alone is neither deleted nor made again.
    assert [method for method, path, _ in recorder.requests if "dns_records" in path] == ["PUT"] * moved
    assert host.commands == commands
    stack.configure(deleteFirst=None)
    assert stack.up() == {"same": RESOURCES + 1}


def test_an_interrupted_run_is_finished_by_the_next_one(stack: Stack, host: Host, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    waiting = f"until [ -e {go_on} ]; do sleep 0.1; done; echo finished"
    stack.configure(command=waiting)
    run = stack.interrupted(
        "up",
        "--yes",
        "--skip-preview",
        when=lambda: wait_for("the script runs", lambda: waiting in host.commands),
        then=go_on.touch,
    )
    assert run.code != 0
    assert "PRIVATE KEY" not in run.out + run.err
    assert stack.outputs_of("install")["stdout"] == "finished"  # a command that runs is never cut off by Ctrl-C
    stack.configure(command="grep -c BEGIN; echo again")
    assert stack.up() == {"same": RESOURCES, "update": 1}
    assert stack.outputs()["stdout"].endswith("again")


def test_the_next_run_waits_for_a_droplet_interrupted_in_boot(stack: Stack, cloud: Service) -> None:
    stack.configure(userData="#cloud-config\nhostname: other\n")
    with cloud.machines.held("create"):
        made = len(cloud.machines.machines)
        calls = len(cloud.machines.calls)
        run = stack.interrupted(
            "up",
            "--yes",
            "--skip-preview",
            when=lambda: wait_for(
                "create has begun", lambda: any(step == "create" for step, _ in cloud.machines.calls[calls:])
            ),
        )
        assert run.code != 0
        assert "cancelled while waiting for droplet" in run.out + run.err
        assert len(cloud.machines.machines) == made - 1  # the old one went first, and the new one is not there yet
    changes = stack.up()
    assert changes.get("create", 0) == 0
    assert stack.up() == {"same": RESOURCES + 1}
    assert len(cloud.machines.machines) == made


def test_a_failed_command_in_an_up_shows_output_but_not_stdin(stack: Stack) -> None:
    stack.configure(command="wc -l >&2; exit 7", stdin="very s3cr3t\n")
    run = stack.pulumi("up", "--yes", "--skip-preview")
    assert run.code != 0
    said = run.out + run.err
    assert 'Process exited with status 7: running "wc -l >&2; exit 7"' in said
    assert "install" in said
    assert "s3cr3t" not in said
    assert "PRIVATE KEY" not in said
    stack.configure(command="true", stdin="s3cr3t\n")
    stack.up()


def test_an_unknown_property_stops_the_preview(tmp_path: Path) -> None:
    run = Stack(tmp_path / "stack", BOGUS).pulumi("preview")
    assert run.code != 0
    assert "size: unknown property; known here are algorithm, ecdsaCurve, rsaBits" in run.out + run.err


def test_an_unknown_type_stops_the_preview(tmp_path: Path) -> None:
    run = Stack(tmp_path / "stack", BOGUS.replace("privateKey:PrivateKey", "pkcs12:Pkcs12")).pulumi("preview")
    assert run.code != 0
    assert "no resource type tls:index/pkcs12:Pkcs12" in run.out + run.err
