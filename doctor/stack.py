"""The stack to check: its settings, its tokens, and the resources that it has made, as Pulumi shows them."""

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
"""Time limit: a backend may be far away, and a secrets provider may ask a key service."""


class PulumiError(Exception):
    """A command of Pulumi failed; the message is its last error, one line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulumi:
    """Pulumi's command line, for questions only."""

    directory: Path
    """Directory of Pulumi.yaml."""

    def ask(self, *arguments: str) -> str:
        """Run a command and return its output, which is not shown because of its secrets. Raises PulumiError."""
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
    """Leave out the tokens: no command here needs them, and others can read a child's environment."""
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
    """Ids in the cloud of the state's resources, by resource type."""

    @cached_property
    def topology(self) -> Topology:
        """Its hosts and their names."""
        return self.settings.topology

    def has_made(self, kind: str, cloud_id: object) -> bool:
        """True if a resource in the cloud belongs to this stack."""
        return str(cloud_id) in self.made.get(kind, ())


def name_of(pulumi: Pulumi, wanted: str | None) -> str:
    """Return the name of the stack: `wanted`, or the selected one. Raises PulumiError if there is none."""
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
