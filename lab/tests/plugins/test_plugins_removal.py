"""A command that only deletes, under the real engine: what the removal of a node stands on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.tests.plugins.ssh_host import Host
from lab.tests.plugins.stack import Stack

pytestmark = pytest.mark.engine

PROGRAM = """\
import pulumi
import pulumi_command as command
import pulumi_tls as tls

config = pulumi.Config()
ground = tls.PrivateKey("ground", algorithm="ED25519")
host = config.require_object("host")
for node in config.require_object("nodes"):
    command.remote.Command(
        f"{node}-removal",
        connection={
            "host": host["host"],
            "port": host["port"],
            "user": "root",
            "private_key": config.require_secret("hostPrivateKey"),
            "host_key": host["hostKey"],
        },
        delete=f"cat >>{config.require('folder')}/{node}",
        stdin=pulumi.Output.secret(config.require("stdin")),
        add_previous_output_in_env=False,
        opts=pulumi.ResourceOptions(deleted_with=ground),
    )
"""


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    stop = host.start()
    yield host
    stop()


@pytest.fixture
def stack(host: Host, tmp_path: Path) -> Stack:
    connection = host.connection()
    settings = {
        "tiny:host": {name: connection[name] for name in ("host", "port", "hostKey")},
        "tiny:hostPrivateKey": connection["privateKey"],
        "tiny:nodes": ["a", "b"],
        "tiny:stdin": "a credential",
        "tiny:folder": str(tmp_path),
    }
    return Stack(tmp_path / "stack", PROGRAM, settings)


def test_removal_runs_delete_with_its_stdin_except_on_destroy(stack: Stack, host: Host, tmp_path: Path) -> None:
    assert stack.up() == {"create": 4}
    stack.configure(stdin="a newer credential")
    assert stack.up() == {"same": 2, "update": 2}
    assert host.commands == []  # there is nothing to run but at the end

    stack.configure(nodes=["a"])
    assert stack.up() == {"same": 3, "delete": 1}
    assert (tmp_path / "b").read_text() == "a newer credential"

    down = stack.pulumi("destroy", "--yes", "--skip-preview")
    assert down.code == 0, down.out + down.err
    assert host.commands == [f"cat >>{tmp_path}/b"]
    assert "a newer credential" not in down.out + down.err


def test_a_delete_that_fails_is_run_again_by_the_next_run(stack: Stack, host: Host, tmp_path: Path) -> None:
    stack.up()
    (tmp_path / "b").mkdir()  # which nothing can be written to
    stack.configure(nodes=["a"])
    assert stack.pulumi("up", "--yes", "--skip-preview").code != 0
    (tmp_path / "b").rmdir()
    assert stack.up() == {"same": 3, "delete": 1}
    assert (tmp_path / "b").read_text() == "a credential"
