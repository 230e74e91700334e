from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from launcher import engine
from launcher.errors import LauncherError
from launcher.report import Report
from launcher.workspace import Workspace
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]


def environment(workspace: Workspace, **inherited: str) -> dict[str, str]:
    return engine.environment(workspace, {"PATH": "/usr/bin", **inherited}, official_plugins=False)


def test_the_operators_garbage_collection_is_kept(workspace: Workspace) -> None:
    assert environment(workspace)["GOGC"] == "400"
    assert environment(workspace, GOGC="50")["GOGC"] == "50"


def test_the_engine_runs_as_many_steps_as_wait_for_hosts(workspace: Workspace) -> None:
    assert environment(workspace)["PULUMI_PARALLEL"] == "64"
    assert environment(workspace, PULUMI_PARALLEL="2")["PULUMI_PARALLEL"] == "2"


def test_a_real_accounts_tokens_do_not_reach_the_lab(workspace: Workspace) -> None:
    made = environment(workspace, DIGITALOCEAN_TOKEN="dop_v1_77", CLOUDFLARE_API_TOKEN="v1_77", SPACES_SECRET="v1_77")
    assert "v1_77" not in " ".join(made.values())


def test_the_users_own_backend_and_organisation_are_not_used(workspace: Workspace) -> None:
    assert "SSH_AUTH_SOCK" not in environment(workspace, SSH_AUTH_SOCK="/tmp/agent.1")
    made = environment(workspace, PULUMI_BACKEND_URL="s3://theirs", PULUMI_ACCESS_TOKEN="pul-1", PULUMI_HOME="/theirs")
    assert made["PULUMI_BACKEND_URL"].startswith(f"file://{workspace.state}?")
    assert made["PULUMI_HOME"] == str(workspace.pulumi_home)
    assert "PULUMI_ACCESS_TOKEN" not in made


def test_the_path_starts_with_the_virtual_environment(workspace: Workspace) -> None:
    assert environment(workspace)["PATH"].split(":") == [str(workspace.venv), str(workspace.bin), "/usr/bin"]


def test_the_passphrase_itself_is_nowhere_in_the_environment(workspace: Workspace) -> None:
    engine.make_passphrase(workspace)
    secret = workspace.passphrase.read_text().strip()
    assert len(secret) >= 40
    assert secret not in str(environment(workspace))
    assert workspace.passphrase.stat().st_mode & 0o777 == 0o600


def test_a_passphrase_is_made_once(workspace: Workspace) -> None:
    engine.make_passphrase(workspace)
    first = workspace.passphrase.read_text()
    engine.make_passphrase(workspace)
    assert workspace.passphrase.read_text() == first


def test_a_lost_passphrase_is_told_and_not_replaced(workspace: Workspace) -> None:
    folder = workspace.state / ".pulumi" / "stacks" / "triplane"
    folder.mkdir(parents=True)
    (folder / "lab.json").write_text("{}")
    with pytest.raises(LauncherError, match=r"passphrase is gone.*\./triplane down"):
        engine.make_passphrase(workspace)
    assert not workspace.passphrase.exists()


def test_nothing_outside_is_asked_for(workspace: Workspace) -> None:
    made = environment(workspace)
    assert made["PULUMI_SKIP_UPDATE_CHECK"] == "true"
    assert made["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] == "true"


def test_the_users_proxy_is_not_used_between_engine_and_lab(workspace: Workspace) -> None:
    assert environment(workspace, NO_PROXY="corp.example")["NO_PROXY"] == f"{workspace.lab.services},corp.example"


STUBBORN = """
    import signal, subprocess, sys, time
    # a helper in the same group, like the engine's plugins: it must hear nothing
    helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    heard = 0
    def hear(*_):
        global heard
        heard += 1
    signal.signal(signal.SIGINT, hear)
    open(sys.argv[1], "w").write("ready")
    while heard < int(sys.argv[2]):
        time.sleep(0.01)
    alive = helper.poll() is None
    helper.kill()
    sys.exit(40 + heard if alive else 1)
"""


@pytest.mark.parametrize("times", [1, 2])
def test_each_ctrl_c_reaches_the_engine_once_and_not_its_plugins(tmp_path: Path, times: int) -> None:
    ready = tmp_path / "ready"
    command = [sys.executable, "-c", textwrap.dedent(STUBBORN), str(ready), str(times)]

    def press() -> None:
        while not ready.exists():
            time.sleep(0.01)
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)  # signals of the same kind that come together are one

    presser = threading.Thread(target=press)
    presser.start()
    outcome = engine.run_stoppable(command, env=os.environ, report=Report())
    presser.join()
    assert (outcome.code, outcome.stopped) == (40 + times, True)


LAUNCHER = """
    import os, sys
    from launcher.engine import run_stoppable
    from launcher.report import Report
    outcome = run_stoppable(sys.argv[1:], env=os.environ, report=Report())
    sys.exit(outcome.code if outcome.stopped else 1)
"""
COUNTING = """
    import signal, sys, time
    heard = 0
    def hear(*_):
        global heard
        heard += 1
    signal.signal(signal.SIGINT, hear)
    print("ready" if sys.stdin.isatty() else "no terminal", flush=True)
    deadline = time.monotonic() + 60
    while not heard and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.5)  # for a second one, which must not come
    sys.exit(40 + heard)
"""


def test_ctrl_c_at_a_terminal_reaches_the_engine_exactly_once() -> None:
    outer, inner = textwrap.dedent(LAUNCHER), textwrap.dedent(COUNTING)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-c", outer, sys.executable, "-c", inner])
    said = b""
    while b"ready" not in said:
        said += os.read(terminal, 1000)
        assert b"no terminal" not in said
    os.write(terminal, b"\x03")
    with suppress(OSError):  # the terminal goes with the last process that has it
        while os.read(terminal, 1000):
            pass
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 41


def test_a_killed_launcher_stops_the_engine_as_ctrl_c_does(tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    waiting = f"""sleep 60 & trap 'kill $!; echo > "{heard}"' INT; echo ready; wait"""
    # A run in the background has SIGINT ignored, and a shell cannot trap what is ignored from its beginning.
    waits = ["env", "--default-signal=INT", "sh", "-c", waiting]
    command = [sys.executable, "-c", textwrap.dedent(LAUNCHER), *waits]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout
        assert launcher.stdout.readline() == "ready\n"
        launcher.kill()
    wait_for("SIGINT", heard.exists)


def test_a_run_that_nobody_stops_is_not_taken_for_stopped() -> None:
    outcome = engine.run_stoppable([sys.executable, "-c", "raise SystemExit(3)"], env=os.environ, report=Report())
    assert (outcome.code, outcome.stopped) == (3, False)


def test_ctrl_c_is_the_launchers_own_again_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT)
    engine.run_stoppable(["true"], env=os.environ, report=Report())
    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture
def pulumi(workspace: Workspace) -> Callable[[str], engine.Engine]:
    """An engine that is a shell script."""

    def make(script: str) -> engine.Engine:
        program = workspace.bin / "pulumi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return engine.Engine(workspace=workspace, report=Report(), official_plugins=False)

    return make


def test_a_secret_goes_in_on_standard_input(pulumi: Callable[[str], engine.Engine]) -> None:
    secret = "s3cret"
    echo = pulumi('echo "$@"; env; echo "stdin: $(cat)"')
    output = echo.capture("config", "set", "--secret", "digitalocean:token", stdin=secret)
    before, _, after = output.partition("stdin: ")
    assert after.strip() == secret
    assert secret not in before


def test_a_failing_engine_is_quoted(pulumi: Callable[[str], engine.Engine]) -> None:
    with pytest.raises(LauncherError, match=r"pulumi stack init failed:\nthe disk is full"):
        pulumi("echo the disk is full >&2; exit 1").capture("stack", "init", "lab")


def test_the_engine_takes_the_launchers_place_with_its_exit_code(
    pulumi: Callable[[str], engine.Engine], workspace: Workspace
) -> None:
    made = pulumi('echo "$PULUMI_STACK $*"; exit 7')
    code = (
        "import sys; from launcher.engine import Engine; from launcher.report import Report;"
        "from launcher.workspace import Workspace; import os;"
        "w = Workspace.from_environment(os.environ); w.prepare();"
        "Engine(workspace=w, report=Report(), official_plugins=False).become(['preview', '--diff'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"TRIPLANE_DIR": str(made.workspace.directory)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    assert done.stdout.split() == ["lab", "--cwd", str(workspace.directory), "preview", "--diff"]
