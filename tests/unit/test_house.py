"""The rules of the house: who may import whom, and what the checkers say."""

from __future__ import annotations

import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent

FORBIDDEN = {
    "settings": ("components", "lab", "toolchain", "launcher", "policy", "doctor"),
    "model": ("pulumi", "components", "lab", "toolchain", "launcher", "settings", "doctor"),
    "components": ("lab", "toolchain", "launcher", "settings", "doctor"),
    "policy": ("lab", "toolchain", "launcher", "doctor"),
    "doctor": ("components", "lab", "toolchain", "launcher"),
    "toolchain": ("model", "components", "settings", "lab", "launcher", "doctor"),
    "lab": ("model", "components", "settings", "launcher", "doctor"),
}


# Plain text is enough for both questions, and Python 3.11's own parser is not to be trusted in a process with threads:
# "AST constructor recursion depth mismatch" (python/cpython#106905).
IMPORT = re.compile(r"^\s*(?:from|import) +([\w.]+)", re.MULTILINE)


def imports(path: Path) -> set[str]:
    return set(IMPORT.findall(path.read_text()))


def literals(path: Path) -> list[tuple[int, str]]:
    with path.open("rb") as file:
        tokens = list(tokenize.tokenize(file.readline))
    return [(token.start[0], token.string.strip("\"'")) for token in tokens if token.type in LITERALS]


LITERALS = {tokenize.NUMBER, tokenize.STRING}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_data_flows_one_way(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / package).rglob("*.py")
        if "tests" not in path.parts
        for name in imports(path)
        if name.split(".")[0] in FORBIDDEN[package]
        # The stand-ins speak the engine's protocol, in the SDK's own words.
        and not (package == "lab" and name.startswith("pulumi"))
    ]
    assert wrong == []


OLD_WORDS = re.compile(
    r"\b(whoever|whosoever|lest|anew|amiss|heeds?|parted|whence)\b|\bin vain\b|\bto be had\b"
    r"|(?<!\bthere )\bis no (?!longer|more|such|way)(?=[a-z])",
    re.IGNORECASE,
)
"""Words that an engineer who reads English as a second language must look up, and "is no …" for "is not a …"."""
RIDDLES = re.compile(r'"""(What|Who|Whose|Whom|Where|How|Whether|Which|Of|By|As|When|Why)\b')
"""First words of docstrings: write the standard noun or an imperative verb."""


def tracked(*patterns: str) -> list[str]:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [name for name in names if (ROOT / name).exists()]


def test_the_english_is_plain() -> None:
    found = [
        f"{name}:{number}: {word[0]}"
        for name in tracked("*.py", "*.md", "*.j2", "*.sh", "*.yaml", "triplane", ".ci/run")
        if name != "tests/unit/test_house.py"
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1)
        if (word := OLD_WORDS.search(line))
    ]
    assert found == []


def test_a_docstring_says_what_a_thing_is() -> None:
    found = [
        f"{name}: {riddle[0]}"
        for name in tracked("*.py")
        if "tests" not in Path(name).parts
        for riddle in RIDDLES.finditer((ROOT / name).read_text())
    ]
    assert found == []


def test_no_port_is_written_twice() -> None:
    ports = {"2379", "2380", "6443", "8472", "10257", "10259"}
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for package in ("model", "components")
        for path in (ROOT / package).rglob("*.py")
        if path.name != "ports.py"
        for line, text in literals(path)
        if text in ports
    ]
    assert found == []


EXCEPTION = re.compile(r"# (?:ruff: )?noqa(?!: [A-Z]+\d+(?:, [A-Z]+\d+)* - \w)")


def test_each_exception_to_a_rule_has_its_reason() -> None:
    found = [
        f"{name}:{number}: {line.strip()}"
        for name in tracked("*.py")
        if name != "tests/unit/test_house.py"
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1)
        if EXCEPTION.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "--quiet", "."], ["ruff", "format", "--check", "."], ["yamllint", "--strict", "."], ["mypy"]],
    ids=["ruff check", "ruff format", "yamllint", "mypy"],
)
def test_the_checkers_have_nothing_to_say(command: list[str]) -> None:
    result = subprocess.run([TOOLS / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]


def test_names_of_tests_are_short_enough_to_read_and_to_find() -> None:
    named = re.compile(r"^ *(?:async )?def (test_\w+)", re.MULTILINE)
    tests = [name for path in tracked("*.py") for name in named.findall((ROOT / path).read_text())]
    assert [name for name in tests if len(name) > 60] == []
