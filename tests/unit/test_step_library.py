"""What every step is written with: no step runs for ever, and none says more than its reader can take."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from model.assets import read
from model.steps import first_steps

LONG = "printf '%0200000d\\n' 0"


def run(tmp_path: Path, script: str, *, seconds: int = 60) -> subprocess.CompletedProcess[str]:
    library = tmp_path / "step.sh"
    library.write_text(read("steps/step.sh").replace("/var/lib/triplane", str(tmp_path)))
    return subprocess.run(
        ["bash", "-c", f". {library}\nstep trial {seconds}\n{script}\n"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        start_new_session=True,
    )


@pytest.mark.parametrize("stream", [1, 2])
def test_a_line_of_any_length_is_cut_and_what_follows_it_is_not(tmp_path: Path, stream: int) -> None:
    result = run(tmp_path, f"{{ {LONG}; echo then; }} >&{stream}")
    assert result.returncode == 0
    assert (result.stdout, result.stderr)[stream - 1] == f"{'0' * 1000} (cut)\nthen\n"


@pytest.mark.parametrize("script", [f"asks() {{ {LONG}; return 1; }}; wait_until 0 'it' asks", f'fail "$({LONG})"'])
def test_a_long_line_in_an_error_is_cut(tmp_path: Path, script: str) -> None:
    result = run(tmp_path, script)
    assert result.returncode == 1
    assert 400 < len(result.stderr) < 1200
    assert ": step trial: " in result.stderr


def test_an_error_has_at_most_fifteen_lines_mostly_our_own(tmp_path: Path) -> None:
    result = run(tmp_path, 'seq 100 >&2; fail "it went wrong: $(seq 100)"')
    lines = result.stderr.splitlines()
    assert len(lines) == 15
    assert sum("it went wrong" in line for line in lines) == 1
    assert {"(98 more lines)", "(89 more lines)"} < set(lines)


def test_output_has_a_hundred_lines_at_most(tmp_path: Path) -> None:
    assert run(tmp_path, "seq 100").stdout.splitlines() == [str(number) for number in range(1, 101)]
    assert run(tmp_path, "seq 250").stdout.splitlines()[98:] == ["99", "(151 more lines)"]


def test_what_is_no_text_is_left_out(tmp_path: Path) -> None:
    assert run(tmp_path, r"printf 'caf\xc3\xa9 \xff\xfe%s\n' end").stdout == "café end\n"


def test_a_port_that_another_program_has_is_named_with_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        result = run(tmp_path, f"free_port kube-scheduler {port}")
        holder = f'users:(("{Path("/proc/self/comm").read_text().strip()}",pid={os.getpid()},'
        assert result.returncode == 1
        assert f"step trial: port {port}, which kube-scheduler needs, is taken: {holder}" in result.stderr
    assert run(tmp_path, f"free_port kube-scheduler {port}").returncode == 0


def test_exit_codes_pass(tmp_path: Path) -> None:
    assert run(tmp_path, "say all; exit 0").stdout == "all\n"
    assert run(tmp_path, "trap - ERR; exit 7").returncode == 7
    failed = run(tmp_path, "ls /nowhere >/dev/null")
    assert failed.returncode == 1
    assert "cannot access '/nowhere'" in failed.stderr
    assert 'step trial: "ls /nowhere > /dev/null" failed (line 3)' in failed.stderr


@pytest.mark.parametrize(
    "hangs",
    [
        "sleep 7651",
        "answer=$(sleep 7652)",
        "say all | sleep 7653",
        # It is deaf to the first signal, and has a process group of its own.
        "timeout 7654 bash -c 'trap \"\" TERM; while true; do sleep 7654; done'",
    ],
)
def test_a_step_that_hangs_is_ended_with_all_that_it_began(tmp_path: Path, hangs: str) -> None:
    result = run(tmp_path, f"say before\n{hangs}\nsay after", seconds=1)
    assert result.returncode == 1
    assert result.stdout == "before\n"
    assert "step trial: stopped after 1 s, in " in result.stderr
    # Each has a number of its own: other tests run beside this one.
    left = next(word for word in re.findall(r"sleep \d+", hangs))
    assert left not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


def test_a_hanging_check_times_out_and_its_gate_is_named(tmp_path: Path) -> None:
    result = run(tmp_path, "asks() { say 'asked so far'; sleep 7655; }\nwait_until 1 'an answer' asks")
    assert result.returncode == 1
    assert "timed out after 1 s waiting for an answer; last answer: asked so far\n" in result.stderr


def test_a_restart_reads_all_unit_files_again_once(tmp_path: Path) -> None:
    told = run(tmp_path, f'systemctl() {{ echo "$*" >>{tmp_path}/calls; }}; restart etcd --no-block').stdout
    calls = (tmp_path / "calls").read_text().splitlines()
    assert told == "restarted etcd\n"
    # Enabling ends with a reload, before the unit starts (systemctl(1), enable).
    assert [call for call in calls if call.startswith(("daemon-reload", "enable"))] == ["enable --quiet etcd"]
    assert calls.index("enable --quiet etcd") < calls.index("restart --no-block etcd")


def test_the_first_step_has_a_timeout_without_the_library() -> None:
    assert "\nstep identity 120\n" in first_steps.identity()
    assert first_steps.identity().startswith(read("steps/step.sh"))
