"""The operator's machine: the programs and packages that the program needs, and the SSH agent."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

from doctor.findings import Finding, note, ok, wrong
from doctor.stack import Pulumi, PulumiError

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements.txt"
INSTALL = "Run: python3 -m venv .venv && .venv/bin/pip install -r requirements.txt"
SDK = "pulumi-"
NO_DOWNLOAD = "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"


def pinned(text: str) -> dict[str, str]:
    """Read package → version from a requirements file that pins every package."""
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;#]+)", text, re.MULTILINE))


def packages(pins: Mapping[str, str], installed: Callable[[str], str] = metadata.version) -> Finding:
    """Compare the Python packages with requirements.txt."""
    wanted = []
    for name, version in pins.items():
        try:
            found = installed(name)
        except metadata.PackageNotFoundError:
            found = "missing"
        if found != version:
            wanted.append(f"{name} is {found}, not {version}")
    if wanted:
        return wrong(f"{'; '.join(wanted)}.", INSTALL)
    return ok(f"{len(pins)} packages, all in the versions of requirements.txt.")


def engine(pulumi: Pulumi, pins: Mapping[str, str]) -> Finding:
    """Check that pulumi is there, and not older than its SDK."""
    how = "Install it: https://www.pulumi.com/docs/install/"
    try:
        told = pulumi.ask("version").strip()
    except PulumiError as error:
        return wrong(f"{error}.", how)
    least = pins["pulumi"]
    if _numbers(told) < _numbers(least):
        return wrong(f"pulumi is {told}, older than the SDK, {least}.", how)
    return ok(f"pulumi {told}.")


def plugins(pulumi: Pulumi, pins: Mapping[str, str], environment: Mapping[str, str] = os.environ) -> Finding:
    """Check that the provider plugins which belong to the SDKs are there, or that the engine may download them."""
    wanted = {name.removeprefix(SDK): version for name, version in pins.items() if name.startswith(SDK)}
    try:
        listed = json.loads(pulumi.ask("plugin", "ls", "--json"))
    except PulumiError as error:
        return wrong(f"The plugins cannot be listed: {error}.", "Run: pulumi plugin ls")
    there = {(each["name"], each.get("version")) for each in listed if each["kind"] == "resource"}
    missing = [f"{name} {version}" for name, version in wanted.items() if (name, version) not in there]
    if not missing:
        return ok(f"{', '.join(f'{name} {version}' for name, version in wanted.items())}.")
    if environment.get(NO_DOWNLOAD, "").lower() in {"1", "true"}:
        return wrong(f"Missing: {', '.join(missing)}, and {NO_DOWNLOAD} is set.", "Unset it, or run: pulumi install")
    return note(f"The engine downloads {', '.join(missing)} when it first needs them.")


def agent(environment: Mapping[str, str] = os.environ) -> Finding:
    """Check that SSH_AUTH_SOCK, if it is set, leads to an agent.

    The command plugin connects to it before any host, although it has a key of its own, and fails every step if it gets
    no answer (pulumi-command 1.2.1, remote/connection.go).
    """
    path = environment.get("SSH_AUTH_SOCK")
    if not path:
        return ok("SSH_AUTH_SOCK is not set; none is needed.")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent_socket:
            agent_socket.settimeout(5)
            agent_socket.connect(path)
    except OSError as error:
        why = error.strerror or str(error)
        return wrong(
            f"SSH_AUTH_SOCK leads to no SSH agent ({path}: {why}), and every step on a host would fail.",
            "Run pulumi without it: env -u SSH_AUTH_SOCK pulumi up",
        )
    return ok("SSH_AUTH_SOCK leads to an agent that answers.")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
