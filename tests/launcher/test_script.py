"""`./triplane` itself, in a checkout of two files, on machines that are made of fake commands."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.hosts.commands import PACKAGES

ROOT = Path(__file__).parents[2]

# What `python3 -m venv` leaves behind, as far as the script uses it: pip notes what it is asked for, and -m launcher
# tells what it got.
VENV_PYTHON = """\
#!/bin/sh
case "$*" in
    *"-m pip"*) echo "pip $*" >>"$LOG"; exit "${PIP_FAILS:-0}" ;;
    *"-m launcher"*) echo "launcher: $* in $PWD with $PYTHONPATH"; env | grep BYTECODE; exit "${LAUNCHER_CODE:-0}" ;;
esac
"""
PYTHON = """\
#!/bin/sh
case "$*" in
    "-c "*) exit "${PYTHON_IS_OLD:-0}" ;;
    "-m venv "*) echo "venv" >>"$LOG"; mkdir -p "$3/bin"; cp "$VENV_PYTHON" "$3/bin/python" ;;
esac
"""
COMMANDS = {
    "uname": 'case "$1" in -s) echo "${KERNEL:-Linux}" ;; -m) echo "${MACHINE:-x86_64}" ;; esac',
    "id": 'echo "${USER_ID:-0}"',
    "dpkg-query": 'for name; do :; done; case " $ABSENT " in *" $name "*) exit 1 ;; *) printf installed ;; esac',
    "apt-get": 'echo "apt-get $*" >>"$LOG"; echo "E: no such package"; exit "${APT_FAILS:-0}"',
}


@dataclass
class Machine:
    folder: Path

    @property
    def checkout(self) -> Path:
        return self.folder / "checkout"

    @property
    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def forget(self) -> None:
        (self.folder / "log").unlink(missing_ok=True)

    def run(self, *arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.checkout / "triplane", *arguments],
            cwd=cwd or self.folder,
            env={
                "PATH": f"{self.folder / 'bin'}:{os.defpath}",
                "LOG": str(self.folder / "log"),
                "VENV_PYTHON": str(self.folder / "venv-python"),
                "TRIPLANE_OS_RELEASE": str(self.folder / "os-release"),
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    (made.checkout / "lab").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    executable(made.checkout / "triplane", (ROOT / "triplane").read_text())
    for name in ("requirements.txt", "lab/requirements.txt", "requirements-dev.txt"):
        (made.checkout / name).write_text(f"# {name}\n")
    for name, script in COMMANDS.items():
        executable(tmp_path / "bin" / name, f"#!/bin/sh\n{script}\n")
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        executable(tmp_path / "bin" / name, PYTHON)
    executable(tmp_path / "venv-python", VENV_PYTHON)
    (tmp_path / "os-release").write_text("ID=debian\n")
    return made


def test_it_prepares_the_machine_and_hands_over(machine: Machine) -> None:
    done = machine.run("status", "--json", LAUNCHER_CODE="3")
    assert done.returncode == 3, done.stderr
    assert "-P -m launcher status --json" in done.stdout
    assert f"with {machine.checkout}" in done.stdout
    assert "lab/requirements.txt" in machine.log


def test_paths_in_arguments_stay_the_callers(machine: Machine, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    assert f"in {elsewhere} " in machine.run("kubectl", "apply", "-f", "x.yaml", cwd=elsewhere).stdout


def test_what_it_starts_keeps_its_compiled_modules(machine: Machine) -> None:
    assert "BYTECODE" not in machine.run("status", PYTHONDONTWRITEBYTECODE="1").stdout


def test_the_second_call_installs_nothing(machine: Machine) -> None:
    machine.run("status")
    machine.forget()
    done = machine.run("status")
    assert machine.log == ""
    assert done.stderr == ""


def test_changed_requirements_are_installed(machine: Machine) -> None:
    machine.run("status")
    machine.forget()
    (machine.checkout / "requirements.txt").write_text("pulumi==4\n")
    machine.run("status")
    assert machine.log.startswith("pip ")


def test_tests_need_more_packages_and_nothing_else_does(machine: Machine) -> None:
    machine.run("status")
    machine.forget()
    machine.run("test", "fast")
    assert "requirements-dev.txt" in machine.log
    machine.forget()
    machine.run("status")
    assert machine.log == ""


def test_an_installation_that_failed_is_redone_from_nothing(machine: Machine) -> None:
    done = machine.run("status", PIP_FAILS="1")
    assert done.returncode == 1
    assert "run this again" in done.stderr
    machine.forget()
    assert machine.run("status").returncode == 0
    assert machine.log.splitlines()[0] == "venv"


def test_a_checkout_that_was_moved_gets_a_new_environment(machine: Machine) -> None:
    """The programs in a virtual environment name it by its whole path."""
    machine.run("status")
    machine.forget()
    (machine.checkout / ".venv" / ".root").write_text("/elsewhere")
    machine.run("status")
    assert machine.log.splitlines()[0] == "venv"


def test_only_what_is_missing_is_installed_and_named_first(machine: Machine) -> None:
    done = machine.run("status", ABSENT="nftables gcc")
    assert "installing system packages: gcc nftables" in done.stderr
    install = machine.log.splitlines()[1]
    assert install.endswith("--no-install-recommends gcc nftables")


def test_nothing_is_installed_where_all_is_there(machine: Machine) -> None:
    machine.run("status")
    assert "apt-get" not in machine.log


def test_packages_that_cannot_be_had_are_named_with_the_reason(machine: Machine) -> None:
    done = machine.run("status", ABSENT="nftables", APT_FAILS="100")
    assert done.returncode == 1
    assert "E: no such package" in done.stderr
    assert "installing nftables failed" in done.stderr


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"KERNEL": "Darwin"}, "this is Darwin; the lab needs Debian or Ubuntu"),
        ({"MACHINE": "riscv64"}, "processor is riscv64; the lab's hosts are x86_64"),
        ({"USER_ID": "1000"}, "run it as root"),
        ({"TRIPLANE_OS_RELEASE": "/nonexistent"}, "this system is unknown; the lab needs Debian or Ubuntu"),
        ({"PYTHON_IS_OLD": "1"}, "Python 3.11 or newer"),
    ],
)
def test_a_machine_that_will_not_do_is_refused_with_the_reason(
    machine: Machine, environment: dict[str, str], reason: str
) -> None:
    if "PYTHON_IS_OLD" in environment:
        # the script would find the real one by its path, and be right
        script = machine.checkout / "triplane"
        executable(script, script.read_text().replace("/usr/bin/python3", "/nonexistent/python3"))
    done = machine.run("up", cwd=None, **environment)
    assert done.returncode == 2
    assert reason in done.stderr
    assert not (machine.checkout / ".venv").exists()
    assert machine.log == ""


@pytest.mark.parametrize("release", ["ID=ubuntu\n", "ID=linuxmint\nID_LIKE='ubuntu debian'\n"])
def test_ubuntu_and_what_comes_of_it_are_welcome(machine: Machine, tmp_path: Path, release: str) -> None:
    (tmp_path / "os-release").write_text(release)
    assert machine.run("status").returncode == 0


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("help",)])
def test_help_needs_no_root_no_debian_and_no_python(machine: Machine, arguments: tuple[str, ...]) -> None:
    done = machine.run(*arguments, KERNEL="Darwin", USER_ID="1000")
    assert done.returncode == 0
    assert "./triplane up" in done.stdout
    assert not (machine.checkout / ".triplane").exists()


def test_calls_at_the_same_time_set_up_once(machine: Machine) -> None:
    with ThreadPoolExecutor(4) as pool:
        calls = list(pool.map(lambda _: machine.run("status"), range(4)))
    assert [call.returncode for call in calls] == [0, 0, 0, 0]
    assert [line.split()[0] for line in machine.log.splitlines()] == ["venv", "pip"]


def test_the_shell_scripts_pass_shellcheck() -> None:
    subprocess.run([Path(sys.executable).with_name("shellcheck"), ROOT / "triplane", ROOT / ".ci" / "run"], check=True)


def test_what_the_labs_hosts_need_is_installed() -> None:
    text = (ROOT / "triplane").read_text()
    listed = text.split('packages="')[1].split('"')[0].split()
    assert set(PACKAGES.values()) <= set(listed)
    assert listed == sorted(set(listed))
