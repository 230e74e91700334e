"""The command stand-in, over SSH to a server on loopback."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from lab.plugins import command
from lab.plugins.command import CommandPlugin
from lab.plugins.resource import CancelledError, PluginError
from lab.plugins.values import UNKNOWN, Secret
from lab.tests.plugins.ssh_host import Host
from lab.tests.plugins.steps import Steps, bare
from tests.waiting import wait_for

COMMAND = "command:remote:Command"


@pytest.fixture
def host(clean_environment: None) -> Iterator[Host]:
    host = Host()
    stop = host.start()
    yield host
    stop()


@pytest.fixture
def plugin() -> Iterator[CommandPlugin]:
    plugin = command.plugin()
    yield plugin
    plugin.close()


@pytest.fixture
def steps(plugin: CommandPlugin) -> Steps:
    return Steps(plugin, COMMAND, name="install")


def test_create_runs_with_its_input_and_keeps_what_it_wrote(host: Host, steps: Steps) -> None:
    outputs = steps.create(connection=host.connection(), create="cat; echo oops >&2; echo; echo", stdin="line\n")
    assert steps.outputs["stdout"] == "line\n\n"
    assert steps.outputs["stderr"] == "oops"
    assert re.fullmatch(r"install[0-9a-f]{8}", steps.id)
    assert isinstance(outputs["connection"], Secret)
    assert not isinstance(outputs["stdout"], Secret)
    host.settled()


def test_the_connection_is_filled_in_and_kept_secret(host: Host, steps: Steps) -> None:
    inputs, _ = steps.plugin.check(
        COMMAND,
        {"connection": {"host": "h"}, "create": "true"},
        olds={},
        autonaming=None,  # type: ignore[arg-type]
    )
    assert isinstance(inputs["connection"], Secret)
    assert inputs["connection"].value == {
        "host": "h",
        "port": 22,
        "user": "root",
        "dialErrorLimit": 10,
        "perDialTimeout": 15,
    }
    assert "addPreviousOutputInEnv" not in inputs
    assert "__defaults" not in inputs


def test_keys_and_passwords_in_a_secret_connection_are_secret(steps: Steps) -> None:
    secret = {"password": "p", "privateKey": "k", "privateKeyPassword": "w"}
    given = {"connection": {"host": "h", **secret, "proxy": {"host": "p", **secret}}, "create": "true"}
    inputs, _ = steps.plugin.check(COMMAND, given, olds={}, autonaming=None)  # type: ignore[arg-type]
    outputs = steps.plugin.outputs(COMMAND, steps.id, bare(inputs))
    for marked in (inputs["connection"], outputs["connection"]):
        for endpoint in (marked.value, marked.value["proxy"]):
            assert {name for name, value in endpoint.items() if isinstance(value, Secret)} == set(secret)


def test_without_a_create_nothing_is_run(host: Host, steps: Steps) -> None:
    steps.create(connection=host.connection(), delete="true")
    assert (steps.outputs["stdout"], steps.outputs["stderr"]) == ("", "")
    assert host.connections == 0


def test_a_preview_runs_nothing_and_knows_all_but_the_output(host: Host, steps: Steps) -> None:
    inputs = {"connection": host.connection(), "create": "true", "stdin": UNKNOWN}
    planned = bare(steps.preview(**inputs))
    assert planned["create"] == "true"
    assert planned["stdout"] is planned["stderr"] is planned["stdin"] is UNKNOWN
    steps.create(connection=host.connection(), create="echo 1")
    commands = list(host.commands)
    assert bare(steps.preview_update(connection=host.connection(), create="echo 1", stdin="x"))["stdout"] is UNKNOWN
    assert host.commands == commands


def test_an_update_runs_update_or_else_create(host: Host, steps: Steps) -> None:
    steps.create(connection=host.connection(), create="echo made")
    steps.update(connection=host.connection(), create="echo made", stdin="x")
    steps.update(connection=host.connection(), create="echo made", update="echo changed", stdin="y")
    assert host.commands == ["echo made", "echo made", "echo changed"]
    assert steps.outputs["stdout"] == "changed"
    steps.update(connection=host.connection())
    assert len(host.commands) == 3
    assert steps.outputs["stdout"] == "changed"


def test_delete_runs_delete_with_the_last_input(host: Host, steps: Steps) -> None:
    steps.create(connection=host.connection(), create="true", delete="cat >&2; exit 4", stdin="bye")
    with pytest.raises(PluginError, match=r'status 4: running "cat >&2; exit 4":\nbye'):
        steps.delete()
    steps.update(connection=host.connection(), create="true")
    host.commands.clear()
    steps.delete()
    assert host.commands == []


def test_a_refresh_does_nothing_on_the_host(host: Host, steps: Steps) -> None:
    steps.create(connection=host.connection(), create="true")
    assert steps.refresh()
    assert host.commands == ["true"]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, {}),
        ({"stdin": "other"}, {"stdin": False}),
        ({"stdin": UNKNOWN}, {"stdin": False}),
        ({"create": "false"}, {"create": False}),
        ({"update": "false"}, {"update": False}),
        ({"delete": "true"}, {"delete": False}),
        ({"environment": {"A": "2"}}, {"environment": False}),
        ({"logging": "none"}, {"logging": False}),
        ({"triggers": ["a", 2]}, {"triggers[1]": True}),
        ({"triggers": None}, {"triggers": True}),
    ],
)
def test_only_triggers_replace(host: Host, steps: Steps, change: dict[str, Any], found: dict[str, bool]) -> None:
    inputs: dict[str, Any] = {"connection": host.connection(), "create": "true", "stdin": "in", "triggers": ["a", 1]}
    steps.create(**inputs)
    assert steps.diff(**inputs | change) == found


def test_a_changed_connection_updates_in_place(host: Host, steps: Steps) -> None:
    steps.create(connection=host.connection(), create="true")
    changed = steps.diff(connection=host.connection(dialErrorLimit=7), create="true")
    assert changed == {"connection.dialErrorLimit": False}


def test_a_command_may_end_before_its_input_is_read(host: Host, steps: Steps) -> None:
    for _ in range(5):
        assert steps.create(connection=host.connection(), create="true", stdin="x" * 4_000_000)["stdout"] == ""


def test_a_failed_command_shows_itself_and_output_but_not_stdin(host: Host, steps: Steps) -> None:
    script = 'read x; echo "got it"; echo broken >&2; exit 3'
    with pytest.raises(PluginError) as raised:
        steps.create(connection=host.connection(), create=script, stdin="s3cr3t\n")
    message = str(raised.value)
    assert message.startswith(
        'Process exited with status 3: running "read x; echo \\"got it\\"; echo broken >&2; exit 3":\n'
    )
    assert "got it\n" in message
    assert "broken\n" in message
    assert "s3cr3t" not in message
    assert "PRIVATE" not in message


def test_a_killed_command_is_an_error(host: Host, steps: Steps) -> None:
    with pytest.raises(PluginError, match="Process exited with signal KILL"):
        steps.create(connection=host.connection(), create="kill -9 $$")


def test_variables_no_host_accepts_fail_before_the_command(host: Host, steps: Steps) -> None:
    with pytest.raises(PluginError, match=r"Unable to set 'OTHER'\. This only works if your SSH server is configured"):
        steps.create(connection=host.connection(), create="echo run", environment={"OTHER": "x"})
    assert host.commands == []


def test_the_last_output_is_refused_unless_told_otherwise(host: Host, steps: Steps) -> None:
    show = 'echo "was: $PULUMI_COMMAND_STDOUT"'
    steps.create(connection=host.connection(), create="echo one")
    steps.said.clear()
    steps.update(connection=host.connection(), create=f"{show} ", addPreviousOutputInEnv=False)
    assert steps.said == ["was: "]
    steps.update(connection=host.connection(), create=show)
    assert steps.outputs["stdout"] == "was: "
    assert any("Unable to set 'PULUMI_COMMAND_STDOUT'" in line for line in steps.said)


@pytest.mark.parametrize(
    ("logging", "shown"),
    [
        (None, ["out", "err"]),
        ("stdoutAndStderr", ["out", "err"]),
        ("stdout", ["out"]),
        ("stderr", ["err"]),
        ("none", []),
    ],
)
def test_what_is_shown_while_it_runs_is_what_logging_says(
    host: Host, steps: Steps, logging: str | None, shown: list[str]
) -> None:
    steps.create(connection=host.connection(), create="echo out; sleep 0.05; printf err >&2", logging=logging)
    assert steps.said == shown
    assert steps.outputs["stdout"] == "out"


def test_a_lot_of_input_and_output_goes_through(host: Host, steps: Steps) -> None:
    text = "".join(f"{number:07d}\n" for number in range(500_000))
    steps.create(connection=host.connection(), create="cat", stdin=text, logging="none")
    assert steps.outputs["stdout"] == text[:-1]


def test_many_commands_run_at_once(host: Host, plugin: CommandPlugin) -> None:
    meeting = "touch $0; while [ $(ls /tmp/$1* | wc -l) -lt 12 ]; do sleep 0.01; done"
    mark = f"triplane-test-{time.monotonic_ns()}"

    def one(number: int) -> None:
        Steps(plugin, COMMAND).create(
            connection=host.connection(), create=f"sh -c '{meeting}' /tmp/{mark}-{number} {mark}"
        )

    try:
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(one, range(12)))  # each one ends only when all have begun
    finally:
        Steps(plugin, COMMAND).create(connection=host.connection(), create=f"rm -f /tmp/{mark}*")


def test_dialling_is_tried_again_and_then_goes_on(host: Host, steps: Steps) -> None:
    host.refusals = 2
    steps.create(connection=host.connection(dialErrorLimit=3), create="echo there")
    assert steps.outputs["stdout"] == "there"
    assert steps.said[:2] == ["Dial 1/3 failed: retrying", "Dial 2/3 failed: retrying"]


def test_an_unreachable_host_is_named_with_the_number_of_tries(host: Host, steps: Steps) -> None:
    with pytest.raises(
        PluginError, match=r"after 2 failed attempts: dial tcp 127\.0\.0\.1:1: connect: connection refused"
    ):
        steps.create(connection=host.connection(port=1), create="true")


def test_a_host_without_an_address_is_named(host: Host, steps: Steps) -> None:
    with pytest.raises(PluginError, match=r"after 0 failed attempts: dial tcp: lookup nowhere\.invalid: no such host"):
        steps.create(connection=host.connection(host="nowhere.invalid", dialErrorLimit=0), create="true")


def test_another_host_key_than_the_pinned_one_is_refused_by_name(host: Host, steps: Steps) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(PluginError, match=r"host key mismatch: 127\.0\.0\.1 did not show the key SHA256:"):
        steps.create(connection=host.connection(hostKey=other, dialErrorLimit=0), create="true")
    assert host.commands == []


def test_without_a_pinned_host_key_any_is_taken(host: Host, steps: Steps) -> None:
    steps.create(connection=host.connection(hostKey=None), create="echo in")
    assert steps.outputs["stdout"] == "in"


def test_an_unknown_private_key_is_an_error_that_hides_it(host: Host, steps: Steps) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    with pytest.raises(PluginError, match=r"dial tcp 127.0.0.1:\d+: .*unable to authenticate as root") as raised:
        steps.create(connection=host.connection(privateKey=stranger, dialErrorLimit=0), create="true")
    assert stranger.splitlines()[1] not in str(raised.value)


@pytest.mark.parametrize("name", ["privateKey", "hostKey"])
def test_a_broken_key_is_named_and_not_shown(host: Host, steps: Steps, name: str) -> None:
    with pytest.raises(PluginError, match=f"connection.{name}: ") as raised:
        steps.create(connection=host.connection(**{name: "garbage"}), create="true")
    assert "garbage" not in str(raised.value)


def test_a_proxy_is_gone_through(host: Host, steps: Steps) -> None:
    bastion = Host()
    stop = bastion.start()
    try:
        steps.create(connection=host.connection(proxy=bastion.connection()), create="echo through")
        assert steps.outputs["stdout"] == "through"
        assert (bastion.connections, bastion.commands) == (1, [])
        bastion.settled()
        wrong = bastion.connection(hostKey=host.connection()["hostKey"], dialErrorLimit=0)
        with pytest.raises(PluginError, match="host key mismatch"):
            steps.create(connection=host.connection(proxy=wrong), create="echo through")
        assert host.connections == 1
    finally:
        stop()


def test_custom_timeouts_end_the_dialling_and_no_command(host: Host, plugin: CommandPlugin, steps: Steps) -> None:
    call = steps.call
    object.__setattr__(call, "timeout", 2)
    inputs = steps.checked(connection=host.connection(), create="sleep 3; echo at last")
    assert bare(plugin.create(COMMAND, inputs, call, preview=False)[1])["stdout"] == "at last"
    unreachable = steps.checked(connection=host.connection(port=1, dialErrorLimit=-1), create="true")
    with pytest.raises(PluginError, match="context deadline exceeded"):
        plugin.create(COMMAND, unreachable, call, preview=False)


def test_cancelling_finishes_running_steps_and_starts_no_others(
    host: Host, plugin: CommandPlugin, steps: Steps, tmp_path: Path
) -> None:
    go_on = tmp_path / "go-on"
    waiting = f"until [ -e {go_on} ]; do sleep 0.02; done; echo finished"

    def cancel() -> None:
        wait_for("the command arrives", lambda: host.commands)
        plugin.cancel()
        go_on.touch()

    thread = threading.Thread(target=cancel)
    thread.start()
    assert bare(steps.create(connection=host.connection(), create=waiting))["stdout"] == "finished"
    thread.join()
    with pytest.raises(CancelledError, match="context canceled"):
        steps.create(connection=host.connection(), create="true")
    assert host.commands == [waiting]


def test_cancelling_ends_the_dialling(host: Host, plugin: CommandPlugin, steps: Steps) -> None:
    def cancel() -> None:
        wait_for("a first try has failed", lambda: steps.said)
        plugin.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(CancelledError, match="context canceled"):
        steps.create(connection=host.connection(port=1, dialErrorLimit=-1), create="true")
    thread.join()


def test_the_plugins_end_is_the_end_of_what_it_waits_for(host: Host, plugin: CommandPlugin, steps: Steps) -> None:
    def close() -> None:
        wait_for("the command arrives", lambda: host.commands)
        plugin.close()

    thread = threading.Thread(target=close)
    thread.start()
    with pytest.raises(CancelledError):
        steps.create(connection=host.connection(), create="exec sleep 60")
    thread.join()
    host.settled()


@pytest.mark.parametrize("stream", ["", ">&2"])
def test_a_line_too_long_for_the_official_plugin_never_returns(
    host: Host, plugin: CommandPlugin, steps: Steps, stream: str
) -> None:
    script = f"(head -c 70000 /dev/zero | tr '\\0' x; echo) {stream}"
    ended: list[str] = []

    def run() -> None:
        try:
            steps.create(connection=host.connection(), create=script)
        except CancelledError:
            ended.append("cut off")
        else:
            ended.append("finished")

    thread = threading.Thread(target=run)
    thread.start()
    wait_for("the command has ended on its host", lambda: host.ended == 1)
    Steps(plugin, COMMAND).create(connection=host.connection(), create="echo others go on")
    assert ended == []
    plugin.close()
    thread.join(30)
    assert ended == ["cut off"]


def test_a_long_line_that_is_cut_or_not_shown_hangs_nothing(host: Host, steps: Steps) -> None:
    long = "head -c 70000 /dev/zero | tr '\\0' x; echo"
    steps.create(connection=host.connection(), create=f"({long}) | cut -c -65535")
    assert len(steps.outputs["stdout"]) == 65535
    steps.create(connection=host.connection(), create=long, logging="none")
    assert len(steps.outputs["stdout"]) == 70000
    steps.create(connection=host.connection(), create=f"({long}) >&2", logging="stdout")
    assert len(steps.outputs["stderr"]) == 70000


@pytest.mark.parametrize("by", ["environment", "input"])
def test_a_dead_ssh_agent_fails_connections_before_any_host_call(
    host: Host, steps: Steps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    gone = tmp_path / "agent"
    more = {"agentSocketPath": str(gone)} if by == "input" else {}
    if by == "environment":
        monkeypatch.setenv("SSH_AUTH_SOCK", str(gone))
    with pytest.raises(PluginError, match=f"^dial unix {gone}: connect: no such file or directory$"):
        steps.create(connection=host.connection(**more), create="true")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(gone))
    listener.close()
    with pytest.raises(PluginError, match=f"^dial unix {gone}: connect: connection refused$"):
        steps.create(connection=host.connection(**more), create="true")
    assert host.connections == 0
    assert steps.said == []


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        ({"create": "true"}, "connection: required, but missing"),
        ({"connection": {}}, "connection.host: required, but missing"),
        ({"connection": {"host": "h", "key": "x"}}, "connection.key: unknown property"),
        ({"connection": {"host": "h", "port": "22"}}, "connection.port: must be of type number, not string"),
        ({"connection": {"host": "h"}, "run": "true"}, "run: unknown property"),
        ({"connection": {"host": "h"}, "logging": "all"}, "logging: must be one of stdout, stderr"),
        ({"connection": {"host": "h"}, "environment": {"A": 1}}, "environment.A: must be of type string, not number"),
    ],
)
def test_bad_inputs_are_named(steps: Steps, inputs: dict[str, Any], complaint: str) -> None:
    assert any(complaint in reason for reason in steps.failures(**inputs))
