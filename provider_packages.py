"""Provider packages with only the classes of the resources that the program uses.

The generated packages define thousands of classes: pulumi_cloudflare has 290,000 lines, and the program uses one of its
resource types. Its import takes more time than everything else in a run that changes nothing. So the program imports
only the packages' modules of its own resources. Two more modules have the types of all resources: of these it imports
only the parts that belong to its own. Everything else of a package does not exist for the program.

Import this module before any of the packages. tests/components/test_provider_packages.py compares the classes with
those of the whole packages.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

MODULES: Mapping[str, Sequence[str]] = {
    "pulumi_cloudflare": ("dns_record",),
    "pulumi_digitalocean": (
        "droplet",
        "firewall",
        "get_droplets",
        "get_regions",
        "get_sizes",
        "ssh_key",
        "tag",
        "vpc",
    ),
}
"""Package → its modules that the program uses, one for each resource and function."""

TYPES = ("_inputs", "outputs")
"""Modules with the types of all resources of a package."""

CLASS = re.compile(r"^(?=@pulumi\.(?:in|out)put_type\n)|(?<!_type\n)^(?=class )", re.MULTILINE)
NAME = re.compile(r"^class (\w+)", re.MULTILINE)


def install() -> None:
    """Put the packages into `sys.modules`; one that is imported already stays as it is.

    Raises ModuleNotFoundError if a package is not installed.
    """
    for package, modules in MODULES.items():
        if package not in sys.modules:
            _install(package, modules)


def _install(package: str, modules: Sequence[str]) -> None:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the package {package} is not installed beside this Python", name=package)
    [folder] = spec.submodule_search_locations
    whole = ModuleType(package)
    whole.__path__, whole.__spec__ = [folder], spec
    sys.modules[package] = whole
    prefixes = tuple(module.title().replace("_", "") for module in modules)
    parts = [_types(f"{package}.{name}", Path(folder, f"{name}.py"), prefixes) for name in TYPES]
    for part in (*parts, *(import_module(f"{package}.{module}") for module in modules)):
        vars(whole).update({name: getattr(part, name) for name in part.__all__})


def _types(name: str, file: Path, prefixes: tuple[str, ...]) -> ModuleType:
    """Import a module of types, with only those classes whose names begin with the name of a resource."""
    head, *classes = CLASS.split(file.read_text())
    kept = [text for text in classes if (found := NAME.search(text)) and found[1].startswith(prefixes)]
    module = ModuleType(name)
    module.__package__, module.__file__ = name.rpartition(".")[0], str(file)
    sys.modules[name] = module
    setattr(sys.modules[module.__package__], name.rpartition(".")[2], module)
    exec(compile("".join((head, *kept)), file, "exec"), vars(module))  # noqa: S102 - the package's own code, less of it
    vars(module)["__all__"] = [public for public in vars(module)["__all__"] if public in vars(module)]
    return module
