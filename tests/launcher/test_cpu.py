"""CPU time of the bench: how it is measured, and how it is shown."""

from __future__ import annotations

import json
import os
import sys
from io import StringIO

import pytest
from rich.console import Console

import toolchain
from launcher.bench import cpu
from launcher.commands.bench import show_cpu
from launcher.engine import Engine, make_passphrase
from launcher.errors import LauncherError
from launcher.preparation import install_stand_ins, place
from launcher.report import Report
from launcher.workspace import Workspace

BURN = "import time\nwhile time.process_time() < 0.3: pass"


def test_processes_of_processes_count() -> None:
    grandchild = ["sh", "-c", '"$0" -c "$1"; true', sys.executable, BURN]
    assert cpu.cpu_seconds(grandchild, os.environ) >= 0.3


def test_a_failed_run_is_an_error_with_its_last_lines() -> None:
    with pytest.raises(LauncherError, match=r"the measured run failed: .*[\s\S]*no such stack") as raised:
        cpu.cpu_seconds(["sh", "-c", "seq 100; echo no such stack >&2; exit 3"], os.environ)
    assert len(str(raised.value).splitlines()) <= 15


def test_medians_are_compared() -> None:
    pair = cpu.Pair(what="up with nothing to do", resources=357, program=[9.0, 3.0, 4.0], trivial=[2.0, 4.0, 2.5])
    slow = cpu.Pair(what="preview of prod", resources=411, program=[5.0], trivial=[2.5])
    out = StringIO()
    show_cpu([pair, slow], {9: 9.0, 30: 15.0}, Console(file=out, width=200))
    rows = [line.split() for line in out.getvalue().splitlines()]
    assert ["up", "with", "nothing", "to", "do", "357", "4.0", "s", "2.5", "s", "1.60", "1.4", "too", "slow"] in rows
    assert ["preview", "of", "prod", "411", "5.0", "s", "2.5", "s", "2.00", "1.4", "too", "slow"] in rows
    assert "preview of 30 hosts: 15.0 s of CPU, 0.50 s a host" in out.getvalue()


@pytest.mark.engine
def test_the_trivial_program_has_as_many_resources_as_asked(workspace: Workspace) -> None:
    (workspace.checkout / ".venv").symlink_to(sys.prefix)
    for name, program in toolchain.engine().items():
        place(program, workspace.bin / name)
    install_stand_ins(workspace)
    make_passphrase(workspace)
    engine = Engine(workspace=workspace, report=Report(), official_plugins=False)
    with cpu.trivial(engine) as made:
        made.stack("up", 2)
        assert made.run("up", cpu.UP) > 0
        state = json.loads((made.folder / ".pulumi" / "stacks" / "trivial" / "up.json").read_text())
        kinds = [resource["type"] for resource in state["checkpoint"]["latest"]["resources"]]
    assert kinds.count("tls:index/privateKey:PrivateKey") == 2
    assert not made.folder.exists()
