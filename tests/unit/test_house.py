"""The rules of the house: who may import whom, and what the checkers say."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent

FORBIDDEN = {
    "model": ("pulumi", "components", "lab", "launcher", "settings"),
    "components": ("lab", "launcher", "settings"),
    "lab": ("model", "components", "settings", "launcher"),
    "policy": ("lab", "launcher"),
}


def imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_data_flows_one_way(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / package).rglob("*.py")
        if ".venv" not in path.parts
        for name in imports(path)
        if name.split(".")[0] in FORBIDDEN[package]
        # The stand-ins speak the engine's protocol, in the SDK's own words.
        and not (package == "lab" and name.startswith("pulumi"))
    ]
    assert wrong == []


def test_no_port_is_written_twice() -> None:
    literals = {"2379", "2380", "6443", "8472", "10257", "10259"}
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value}"
        for package in ("model", "components")
        for path in (ROOT / package).rglob("*.py")
        if path.name != "ports.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and str(node.value) in literals
    ]
    assert found == []


@pytest.mark.parametrize(
    "command", [["ruff", "check", "--quiet"], ["ruff", "format", "--check"], ["yamllint", "--strict"]]
)
def test_the_checkers_have_nothing_to_say(command: list[str]) -> None:
    result = subprocess.run(
        [TOOLS / command[0], *command[1:], "."], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]
