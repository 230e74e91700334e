"""The stack under examination: its settings, its tokens, and what it has made already, as Pulumi tells them."""

from __future__ import annotations

import json
import os
import subprocess
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from model.topology import Topology
from settings.accounts import CLOUDFLARE, DIGITALOCEAN, Account, find_accounts
from settings.load import check
from settings.schema import Settings

SECONDS = 120
"""A backend far away, a secrets provider that asks a key service."""


class PulumiError(Exception):
    """Pulumi did not do what it was asked; the message is its own last error, one line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulumi:
    """Pulumi's command line, for questions only."""

    directory: Path
    """Directory of Pulumi.yaml."""

    def ask(self, *arguments: str) -> str:
        """Run a command and return what it prints; a secret in it is shown to nobody. Raises PulumiError."""
        command = ["pulumi", "--cwd", str(self.directory), "--non-interactive", "--color=never", *arguments]
        try:
            done = subprocess.run(
                command,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=SECONDS,
            )
        except FileNotFoundError:
            raise PulumiError("pulumi is not on PATH") from None
        except subprocess.TimeoutExpired:
            raise PulumiError(f"pulumi {arguments[0]} did not end within {SECONDS} s") from None
        if done.returncode != 0:
            raise PulumiError(_last_error(done.stderr) or f"pulumi {arguments[0]} ended with code {done.returncode}")
        return done.stdout


def _environment() -> dict[str, str]:
    """Leave out the tokens: no question needs them, and a child's environment can be read by others."""
    tokens = {*DIGITALOCEAN.token_variables, *CLOUDFLARE.token_variables}
    return {name: value for name, value in os.environ.items() if name not in tokens} | {
        "PULUMI_SKIP_UPDATE_CHECK": "true"
    }


def _last_error(text: str) -> str:
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or [""])[-1][:300]


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One stack."""

    name: str
    settings: Settings
    digitalocean: Account = field(repr=False)
    cloudflare: Account = field(repr=False)
    made: Mapping[str, Collection[str]] = field(default_factory=dict)
    """The cloud's ids of what the state has, by resource type."""

    @cached_property
    def topology(self) -> Topology:
        """Its hosts and their names."""
        return self.settings.topology

    def has_made(self, kind: str, cloud_id: object) -> bool:
        """True if a resource in the cloud is this stack's own."""
        return str(cloud_id) in self.made.get(kind, ())


def name_of(pulumi: Pulumi, wanted: str | None) -> str:
    """Name the stack that is meant: `wanted`, or the selected one. Raises PulumiError where there is none."""
    return pulumi.ask("stack", "--show-name", *_chosen(wanted)).strip()


def read(pulumi: Pulumi, name: str) -> Stack:
    """Read settings and state. Raises PulumiError and SettingsError."""
    told: dict[str, dict[str, Any]] = json.loads(
        pulumi.ask("config", "--json", "--show-secrets", "--stack", name) or "{}"
    )
    config = {key: str(entry.get("value", "")) for key, entry in told.items()}

    def is_secret(key: str) -> bool:
        return bool(told[key].get("secret"))

    accounts = find_accounts(config, is_secret)
    settings = check(config, accounts, is_secret)
    digitalocean, cloudflare = accounts
    return Stack(
        name=name, settings=settings, digitalocean=digitalocean, cloudflare=cloudflare, made=_made(pulumi, name)
    )


def _made(pulumi: Pulumi, name: str) -> dict[str, set[str]]:
    state = json.loads(pulumi.ask("stack", "export", "--stack", name))
    made: dict[str, set[str]] = defaultdict(set)
    for resource in (state.get("deployment") or {}).get("resources") or ():
        if cloud_id := resource.get("id"):
            made[resource["type"]].add(str(cloud_id))
    return made


def _chosen(stack: str | None) -> tuple[str, ...]:
    return () if stack is None else ("--stack", stack)
