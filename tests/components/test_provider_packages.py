"""The provider packages that the program imports, beside the whole ones."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import provider_packages

ROOT = Path(provider_packages.__file__).parent
SOURCES = [ROOT / "__main__.py", *(ROOT / "components").glob("*.py"), *(ROOT / "settings").glob("*.py")]

DESCRIBE = """
import json, sys
from importlib import import_module
from typing import get_type_hints
import pulumi.output
import provider_packages
if sys.argv[1] == "parts":
    provider_packages.install()

def hints(thing):
    return {name: str(hint) for name, hint in get_type_hints(thing, localns=vars(pulumi.output)).items()}

def described(thing):
    if not isinstance(thing, type):
        return hints(thing)
    getters = {name: hints(member.fget) for name, member in vars(thing).items() if isinstance(member, property)}
    made = getattr(thing, "_internal_init", thing.__init__)
    return [hints(thing), hints(made) if hasattr(made, "__code__") else {}, getters]

told = {}
for package, modules in provider_packages.MODULES.items():
    whole = import_module(package)
    prefixes = tuple(module.title().replace("_", "") for module in modules)
    for name in provider_packages.TYPES:
        types = import_module(f"{package}.{name}")
        known = [each for each in types.__all__ if each.startswith(prefixes)]
        told |= {f"{package}.{name}.{each}": described(getattr(types, each)) for each in known}
    for module in modules:
        names = import_module(f"{package}.{module}").__all__
        told |= {f"{package}.{each}": described(getattr(whole, each)) for each in names}
print(json.dumps(told))
"""


def described(how: str) -> dict[str, object]:
    command = [sys.executable, "-W", "ignore", "-c", DESCRIBE, how]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    return told


@pytest.mark.slow  # it imports the whole packages, and they change with requirements.txt
def test_the_classes_are_those_of_the_whole_packages() -> None:
    parts = described("parts")
    assert "pulumi_cloudflare.outputs.DnsRecordData" in parts
    assert parts == described("whole")


@pytest.mark.parametrize("package", provider_packages.MODULES)
def test_all_that_the_program_uses_of_a_package_is_there(package: str) -> None:
    used = set()
    for source in SOURCES:
        text = source.read_text()
        for alias in re.findall(rf"^import {package} as (\w+)$", text, re.MULTILINE):
            used |= set(re.findall(rf"\b{alias}\.(\w+)", text))
    assert used
    given = "import sys, provider_packages as p; p.install(); print(*vars(sys.modules[sys.argv[1]]))"
    done = subprocess.run([sys.executable, "-c", given, package], cwd=ROOT, capture_output=True, text=True, check=True)
    assert used <= set(done.stdout.split()), "name its module in provider_packages.MODULES"


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_packages, "MODULES", {"pulumi_nowhere": ()})
    with pytest.raises(ModuleNotFoundError, match="pulumi_nowhere is not installed beside this Python"):
        provider_packages.install()
