"""The plugin protocol's generated messages and stubs, from the Pulumi SDK."""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType


def import_lightly() -> None:
    """Let the stubs be imported without the SDK's own package code.

    `import pulumi` costs 0.3 s and 40 MiB, in each of four processes in every run; the stubs need none of it.
    Only for a plugin's own process: the SDK itself cannot be imported afterwards.
    """
    spec = PathFinder.find_spec("pulumi")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the Pulumi SDK is not installed beside this Python", name="pulumi")
    root = Path(spec.submodule_search_locations[0])
    for name, folder in (
        ("pulumi", root),
        ("pulumi.runtime", root / "runtime"),
        ("pulumi.runtime.proto", root / "runtime" / "proto"),
    ):
        module = ModuleType(name)
        module.__path__ = [str(folder)]
        sys.modules[name] = module
