"""Commands that only delete, and wait for each other, under the real engine: what the end of a role stands on."""

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
host = config.require_object("host")


def deletes(name, stdin=None, **options):
    return command.remote.Command(
        name,
        connection={
            "host": host["host"],
            "port": host["port"],
            "user": "root",
            "private_key": config.require_secret("hostPrivateKey"),
            "host_key": host["hostKey"],
        },
        delete=f"echo {name}",
        stdin=stdin,
        add_previous_output_in_env=False,
        opts=pulumi.ResourceOptions(**options),
    )


def farewell(name, **options):
    return deletes(name, replace_with=[droplet], delete_before_replace=True, **options)


vpc = tls.PrivateKey("vpc", algorithm="ED25519")
if config.require_bool("stays"):
    droplet = tls.PrivateKey(
        "droplet", algorithm=config.require("image"), opts=pulumi.ResourceOptions(delete_before_replace=True)
    )
    if config.require_bool("role"):
        uninstall = deletes("uninstall", deleted_with=droplet)
        # What has a value of the droplet's makes the engine load its plugin before the droplet is replaced.
        service = deletes("service", stdin=droplet.public_key_pem, depends_on=[uninstall])
        farewell("record", depends_on=[service])
        farewell("removal", depends_on=[uninstall], deleted_with=vpc)
        farewell("leave", depends_on=[droplet], deleted_with=uninstall)
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
        "tiny:stays": True,
        "tiny:role": True,
        "tiny:image": "ED25519",
    }
    stack = Stack(tmp_path / "stack", PROGRAM, settings)
    stack.up()
    return stack


def said(host: Host) -> list[str]:
    return [command.removeprefix("echo ") for command in host.commands]


def test_a_service_is_uninstalled_last_when_its_role_goes(stack: Stack, host: Host) -> None:
    stack.configure(role=False)
    stack.up()
    *first, last = said(host)
    assert last == "uninstall"
    assert sorted(first) == ["record", "removal", "service"]


def test_nothing_is_uninstalled_from_a_host_that_goes(stack: Stack, host: Host) -> None:
    stack.configure(stays=False)
    stack.up()
    assert sorted(said(host)) == ["record", "removal", "service"]


def test_a_replaced_host_says_farewell_and_is_not_uninstalled(stack: Stack, host: Host) -> None:
    stack.configure(image="ECDSA")
    stack.up()
    assert sorted(said(host)) == ["leave", "record", "removal"]


def test_a_replaced_host_that_loses_its_role_is_uninstalled(stack: Stack, host: Host) -> None:
    stack.configure(image="ECDSA", role=False)
    stack.up()
    assert sorted(said(host)[:3]) == ["leave", "record", "removal"]
    assert said(host)[3:] == ["service", "uninstall"]
