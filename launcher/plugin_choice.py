"""Choice of provider plugins, official or stand-in; a cluster keeps the ones that made it.

Both have the same names and versions, so the state does not show which of them made it. A file beside the state shows
it. Without this file, four folders under the user's Pulumi home would decide on every run, and a preview of a real
stack on the same machine would change the plugins of the lab's next `up`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

from lab.plugins import PLUGINS
from launcher import files, stacks
from launcher.errors import MistakeError
from launcher.workspace import Workspace

OFFICIAL = "TRIPLANE_OFFICIAL_PLUGINS"
"""Variable: with 1 the engine uses, and downloads, the official provider plugins; with 0 it uses the stand-ins."""

SWITCH = "TRIPLANE_SWITCH_PLUGINS"
"""Variable: with 1 the plugins may differ from those that made the cluster."""

RECORD = "plugins"
"""File in the workspace with the kind of plugins that made the resources in its states."""


class Kind(StrEnum):
    """Kind of provider plugins."""

    OFFICIAL = "official"
    STAND_INS = "stand-ins"

    def __str__(self) -> str:
        """Name them for a user, with their versions."""
        versions = ", ".join(f"{name} {version(f'pulumi-{name}')}" for name in PLUGINS)
        whose = "the official ones" if self is Kind.OFFICIAL else "the lab's stand-ins for"
        return f"{whose} {versions}"


def settle(workspace: Workspace, environment: Mapping[str, str], official: Path | None) -> Path | None:
    """Choose the plugins, and remember the choice; `official` is the folder that has, or may get, the official ones.

    Return that folder, or None for the stand-ins. A cluster keeps the plugins that made it, even if others have been
    installed since. Raises `MistakeError` if that is not possible, or if the environment asks for the others.
    """
    kind = choose(workspace, environment, available=official is not None)
    files.write(workspace.directory / RECORD, f"{kind.value}\n")
    return official if kind is Kind.OFFICIAL else None


def choose(workspace: Workspace, environment: Mapping[str, str], *, available: bool) -> Kind:
    """Choose as `settle` does, but change nothing."""
    asked = {"1": Kind.OFFICIAL, "0": Kind.STAND_INS}.get(environment.get(OFFICIAL, ""))
    wanted = asked or (Kind.OFFICIAL if available else Kind.STAND_INS)
    made = made_by(workspace)
    if made is None or made is wanted or environment.get(SWITCH) == "1":
        return wanted
    if asked is None and (made is Kind.STAND_INS or available):
        return made
    reason = f"{OFFICIAL}={environment[OFFICIAL]}" if asked else "they are not on this machine any more"
    way_back = f"Set {OFFICIAL}={int(made is Kind.OFFICIAL)}"
    raise MistakeError(
        f"what is there was made with {_called(made)} provider plugins, and this run would use {_called(wanted)} "
        f"({reason}). {way_back} to go on with those it has, ./triplane down to begin again, or {SWITCH}=1 to switch "
        "on purpose: look at ./triplane up --preview first."
    )


def made_by(workspace: Workspace) -> Kind | None:
    """Return the kind of plugins that made the states' resources; None if the states have none."""
    if not any(_holds_something(workspace, stack) for stack in stacks.recorded(workspace)):
        return None
    try:
        return Kind((workspace.directory / RECORD).read_text().strip())
    except (FileNotFoundError, ValueError):
        # The folder of the last run's plugins: it is a link to the user's own folder if they were official.
        return Kind.OFFICIAL if (workspace.pulumi_home / "plugins").is_symlink() else Kind.STAND_INS


def _holds_something(workspace: Workspace, stack: str) -> bool:
    latest = stacks.checkpoint(workspace, stack)
    resources = latest.get("resources") or []
    of_plugins = (each for each in resources if not str(each["type"]).startswith("pulumi:") and each.get("custom"))
    return bool(latest.get("pending_operations")) or any(of_plugins)


def _called(kind: Kind) -> str:
    return "the official" if kind is Kind.OFFICIAL else "the stand-in"
