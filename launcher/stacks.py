"""The lab's own copy of the project: tracked settings, plus settings that depend on this machine.

The engine writes into a stack's configuration file (its salt, secrets, and the values of `config set`). In the
checkout that would change a tracked file, so the engine works on copies in `.triplane`, a separate project folder that
uses the checkout's program.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from launcher import files
from launcher.engine import Engine
from launcher.errors import LauncherError, MistakeError
from launcher.workspace import Workspace

SALT = "encryptionsalt"
TOKENS = {"digitalocean:token": "digitalocean", "cloudflare:apiToken": "cloudflare"}
"""Secret setting → the lab's token for it."""

KUBECONFIG_STAMP = ".kubeconfig.of"
"""File that says which state the kubeconfig was taken from."""

LAB_STACK = "lab"
DEFAULT_OPERATOR = "198.18.0.1/32"
"""This machine's address in Pulumi.lab.yaml; a lab with another block of addresses has another one."""

Config = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """A stack's settings that depend on this machine."""

    api_url: str
    mirror_url: str
    digests: Mapping[str, Any]
    """File → version → architecture → SHA-256; empty as long as nothing is built."""
    images: Mapping[str, str]
    """Setting → reference, with a digest; empty as long as nothing is built."""
    ssh_ca_public_key: str
    operator: str
    """The network with only this machine's address, as the lab's hosts see it."""
    zone: Mapping[str, str]
    """The lab's only zone."""

    def settings(self, stack: str, tracked: Config) -> Config:
        """Change a stack's tracked settings for this lab, whichever cloud they are written for."""
        here = {
            "digitalocean:apiEndpoint": self.api_url,
            "cloudflare:baseUrl": f"{self.api_url}/client/v4",
            "triplane:images": dict(self.images),
            "triplane:mirror": {"url": self.mirror_url, "registry": self.mirror_url, "digests": dict(self.digests)},
            "triplane:sshCaPublicKey": self.ssh_ca_public_key,
        }
        if stack == LAB_STACK:
            return dict(tracked) | here | self._allowed(tracked)
        return (
            dict(tracked)
            | here
            | {
                "triplane:apiAllowed": [self.operator],
                "triplane:domain": f"{stack}.{self.zone['name']}",
                "triplane:nodePortsAllowed": [self.operator],
                "triplane:sshAllowed": [self.operator],
                "triplane:zone": dict(self.zone),
            }
        )

    def _allowed(self, tracked: Config) -> Config:
        """Use this machine's address where the tracked settings have the default one."""
        return {
            key: [self.operator if network == DEFAULT_OPERATOR else network for network in tracked[key]]
            for key in ("triplane:nodePortsAllowed", "triplane:sshAllowed")
            if tracked.get(key)
        }


def merged(*, last: Config, current: Config, new: Config) -> Config:
    """Take `new`, but keep every change since `last` was written (for example by `pulumi config set`)."""
    ours = {key for key in new if key not in last or current.get(key) == last[key]}
    theirs = {key: value for key, value in current.items() if key not in last or last[key] != value}
    removed = {key for key in last if key not in current}
    return {key: new[key] for key in new if key in ours and key not in removed} | theirs


def project_file(tracked: Mapping[str, Any], workspace: Workspace) -> Config:
    """Pulumi.yaml for the folder of copies: the same project, with the program in the checkout."""
    runtime = {"name": "python", "options": {"virtualenv": str(workspace.venv.parent)}}
    return dict(tracked) | {"runtime": runtime, "main": os.path.relpath(workspace.checkout, workspace.directory)}


def tracked_stacks(workspace: Workspace) -> list[str]:
    """List the stacks with settings in the checkout."""
    return sorted(path.name.split(".")[1] for path in workspace.checkout.glob("Pulumi.*.yaml"))


def _load(path: Path) -> Config:
    try:
        return dict(yaml.safe_load(path.read_text()) or {})
    except FileNotFoundError:
        return {}
    except yaml.YAMLError as error:
        raise MistakeError(f"{path} is not YAML: {error}") from error


def _dump(content: Config, *, source: Path) -> str:
    header = f"# Made from {source.name} in the checkout, with this machine's addresses and secrets. Edit it there.\n"
    return header + yaml.safe_dump(content, sort_keys=False, width=120)


def state_file(workspace: Workspace, stack: str) -> Path:
    """File of a stack in the engine's backend."""
    return workspace.state / ".pulumi" / "stacks" / workspace.project / f"{stack}.json"


def checkpoint(workspace: Workspace, stack: str) -> Config:
    """Read a stack's last recorded deployment; empty if nothing is recorded.

    It reads the file, not Pulumi's Automation API, which starts the engine and takes a second for each call.
    """
    try:
        content = json.loads(state_file(workspace, stack).read_text())
    except FileNotFoundError:
        return {}
    return dict(content.get("checkpoint", {}).get("latest") or {})


def planned(workspace: Workspace, stack: str, machine: Machine) -> Config:
    """Settings that `write_files` is going to write: the tracked ones, adapted to this lab, with the user's changes.

    Raises MistakeError if the checkout has no such stack.
    """
    return _with_changes(workspace, stack, machine.settings(stack, _tracked(workspace, stack).get("config") or {}))


def write_files(workspace: Workspace, stack: str, machine: Machine) -> None:
    """Bring the folder's Pulumi.yaml and Pulumi.<stack>.yaml up to date with the tracked ones. Raises as `planned`."""
    tracked = _tracked(workspace, stack)
    project = workspace.checkout / "Pulumi.yaml"
    files.write(workspace.directory / project.name, _dump(project_file(_load(project), workspace), source=project))

    new = machine.settings(stack, tracked.get("config") or {})
    content = {key: value for key, value in tracked.items() if key not in {"config", SALT}}
    content["config"] = _with_changes(workspace, stack, new)
    target = workspace.directory / f"Pulumi.{stack}.yaml"
    if salt := _load(target).get(SALT) or _salt_in_state(workspace, stack):
        content[SALT] = salt
    files.write(target, _dump(content, source=workspace.checkout / target.name))
    files.write(_record(workspace, stack), yaml.safe_dump(new, sort_keys=False))


def _tracked(workspace: Workspace, stack: str) -> Config:
    source = workspace.checkout / f"Pulumi.{stack}.yaml"
    if not source.exists():
        raise MistakeError(
            f"there is no {source.name} in {workspace.checkout}; stacks: {', '.join(tracked_stacks(workspace))}"
        )
    return _load(source)


def _with_changes(workspace: Workspace, stack: str, new: Config) -> Config:
    record = _record(workspace, stack)
    return merged(last=_load(record), current=settings(workspace, stack), new=new) if record.exists() else new


def _record(workspace: Workspace, stack: str) -> Path:
    """File with the settings that were made last; differences from them are the user's changes."""
    return workspace.directory / f".Pulumi.{stack}.yaml.made"


def _salt_in_state(workspace: Workspace, stack: str) -> str | None:
    providers = checkpoint(workspace, stack).get("secrets_providers") or {}
    salt = (providers.get("state") or {}).get("salt")
    return str(salt) if salt else None


def ensure(engine: Engine, stack: str, machine: Machine, tokens: Mapping[str, str]) -> None:
    """Make the stack ready for any command: its files, the stack itself, and the lab's tokens as encrypted secrets."""
    workspace = engine.workspace
    write_files(workspace, stack, machine)
    if not state_file(workspace, stack).exists():
        engine.capture("stack", "init", stack, "--no-select", stack=stack)
    record = workspace.directory / f".tokens.{stack}"
    config = _load(workspace.directory / f"Pulumi.{stack}.yaml").get("config") or {}
    # Identifies the lab of the secrets: after each `down`, an `up` makes the lab's directory and tokens again.
    wanted = tokens["fingerprint"]
    if record.exists() and record.read_text() == wanted and all(isinstance(config.get(key), dict) for key in TOKENS):
        return
    for setting, name in TOKENS.items():
        engine.capture("config", "set", "--secret", setting, stack=stack, stdin=tokens[name])
    files.write(record, wanted)


def recorded(workspace: Workspace) -> list[str]:
    """List the stacks that have a state."""
    folder = workspace.state / ".pulumi" / "stacks" / workspace.project
    return sorted(path.stem for path in folder.glob("*.json"))


def forget(workspace: Workspace, stack: str) -> None:
    """Remove a stack's files from this folder."""
    state = state_file(workspace, stack)
    leftovers = [
        state,
        *state.parent.glob(f"{stack}.json.*"),
        workspace.directory / f"Pulumi.{stack}.yaml",
        _record(workspace, stack),
        workspace.directory / f".tokens.{stack}",
    ]
    if stack == workspace.stack:
        leftovers += [workspace.kubeconfig, workspace.directory / KUBECONFIG_STAMP]
    for path in leftovers:
        path.unlink(missing_ok=True)
    shutil.rmtree(workspace.state / ".pulumi" / "history" / workspace.project / stack, ignore_errors=True)


OUTPUTS = ("apiEndpoint", "certificates", "commands", "hosts", "knownHosts")
"""Outputs that are not secrets, so the state has them unencrypted."""


def outputs(workspace: Workspace) -> Config:
    """Read the program's outputs. They come from the state itself: the engine would take a second."""
    resources = checkpoint(workspace, workspace.stack).get("resources") or []
    stack: Config = next((resource for resource in resources if resource["type"] == "pulumi:pulumi:Stack"), {})
    found = stack.get("outputs") or {}
    if not all(name in found for name in (*OUTPUTS, "kubeconfig")):
        raise no_cluster()
    return {name: found[name] for name in OUTPUTS} | {"settings": found.get("settings") or {}}


def has_kubeconfig(workspace: Workspace) -> bool:
    """True if the kubeconfig's file is as new as the state."""
    try:
        return (workspace.directory / KUBECONFIG_STAMP).read_text() == _stamp(
            workspace
        ) and workspace.kubeconfig.exists()
    except FileNotFoundError:
        return False


def write_kubeconfig(engine: Engine) -> None:
    """Let the engine decrypt the administrator's kubeconfig, and write it into a file of its own."""
    workspace = engine.workspace
    stamp = _stamp(workspace)
    text = engine.capture("stack", "output", "kubeconfig", "--show-secrets", stack=workspace.stack)
    files.write(workspace.kubeconfig, text)
    files.write(workspace.directory / KUBECONFIG_STAMP, stamp)


def _stamp(workspace: Workspace) -> str:
    return str(state_file(workspace, workspace.stack).stat().st_mtime_ns)


def no_cluster() -> LauncherError:
    """Make the error for a cluster that does not exist yet."""
    return LauncherError("no cluster yet: run ./triplane up")


def settings(workspace: Workspace, stack: str) -> Config:
    """Read the settings of a stack that the engine uses."""
    return dict(_load(workspace.directory / f"Pulumi.{stack}.yaml").get("config") or {})


def stack_meant(arguments: Sequence[str], default: str) -> str:
    """Find the stack in a command line of the engine."""
    for position, word in enumerate(arguments):
        if word in {"--stack", "-s"} and position + 1 < len(arguments):
            return arguments[position + 1]
        if word.startswith("--stack="):
            return word.removeprefix("--stack=")
    return default
