"""Making the next `up` able to finish what an interrupted one began.

An engine that was killed leaves two things behind: its lock, and steps of which the state says only that they had
begun. What such a step made in the cloud is looked up there and handed to the engine, so that it is neither made twice
nor in the way.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from launcher.engine import Engine
from launcher.errors import LauncherError
from launcher.stacks import Config, checkpoint
from launcher.workspace import Workspace

PAGE = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """The engine's mark that it is at work on a stack."""

    path: Path
    pid: int
    host: str

    def is_stale(self) -> bool:
        """Whether the process that made it is gone (or its number has passed on to something else)."""
        if self.host != socket.gethostname():
            return False
        try:
            name = Path(f"/proc/{self.pid}/comm").read_text().strip()
        except (FileNotFoundError, ProcessLookupError):
            return True
        return not name.startswith("pulumi")


def locks(workspace: Workspace, stack: str) -> list[Lock]:
    """Find the locks on one stack."""
    found = []
    for path in sorted((workspace.state / ".pulumi" / "locks").glob(f"*/*/{stack}/*.json")):
        try:
            content = json.loads(path.read_text())
            found.append(Lock(path=path, pid=int(content["pid"]), host=str(content.get("hostname", ""))))
        except (ValueError, KeyError):
            found.append(Lock(path=path, pid=0, host=socket.gethostname()))  # cut off while it was written
        except FileNotFoundError:
            continue  # released just now
    return found


def clear_stale_locks(workspace: Workspace, stack: str) -> list[Lock]:
    """Remove the locks of engines that are no more; return those of engines that are at work."""
    held = []
    for lock in locks(workspace, stack):
        if lock.is_stale():
            lock.path.unlink(missing_ok=True)
        else:
            held.append(lock)
    return held


@dataclass(frozen=True, kw_only=True, slots=True)
class Pending:
    """A step that had begun when the engine was cut off."""

    urn: str
    type: str
    operation: str
    inputs: Mapping[str, Any]


def pending(latest: Config) -> list[Pending]:
    """List the unfinished steps of a recorded deployment."""
    return [
        Pending(
            urn=operation["resource"]["urn"],
            type=operation["resource"]["type"],
            operation=operation["type"],
            inputs=operation["resource"].get("inputs") or {},
        )
        for operation in latest.get("pending_operations") or []
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Collection:
    """Where DigitalOcean lists a kind of thing that has a name."""

    path: str
    key: str
    identity: str = "id"


COLLECTIONS: Mapping[str, Collection] = {
    "digitalocean:index/droplet:Droplet": Collection(path="droplets", key="droplets"),
    "digitalocean:index/firewall:Firewall": Collection(path="firewalls", key="firewalls"),
    "digitalocean:index/sshKey:SshKey": Collection(path="account/keys", key="ssh_keys"),
    "digitalocean:index/tag:Tag": Collection(path="tags", key="tags", identity="name"),
    "digitalocean:index/vpc:Vpc": Collection(path="vpcs", key="vpcs"),
}
RECORD = "cloudflare:index/dnsRecord:DnsRecord"


class Cloud:
    """What is in the lab's cloud, as far as the program makes such things."""

    def __init__(self, url: str, tokens: Mapping[str, str], transport: httpx.BaseTransport | None = None) -> None:
        self._url = url
        self._tokens = tokens
        self._client = httpx.Client(timeout=20, trust_env=False, transport=transport)

    def find(self, step: Pending, known: set[str]) -> str | None:
        """Return the id of what a step made, unless the state has it already; None where it made nothing."""
        if step.type == RECORD:
            found = self._records(step.inputs)
        elif step.type in COLLECTIONS:
            found = self._named(COLLECTIONS[step.type], step.inputs)
        else:
            found = []  # made in the state, or on a host where the step can be repeated
        return next((identity for identity in found if identity not in known), None)

    def _named(self, collection: Collection, inputs: Mapping[str, Any]) -> list[str]:
        answer = self._get(f"{self._url}/v2/{collection.path}?per_page={PAGE}", self._tokens["digitalocean"])
        return [str(item[collection.identity]) for item in answer[collection.key] if item["name"] == inputs.get("name")]

    def _get(self, address: str, token: str) -> Config:
        try:
            response = self._client.get(address, headers={"Authorization": f"Bearer {token}"})
            response.raise_for_status()
        except httpx.HTTPError as error:
            raise LauncherError(
                f"asking the lab for what an interrupted run made: {error}; see ./triplane lab status"
            ) from error
        return dict(response.json())

    def _records(self, inputs: Mapping[str, Any]) -> list[str]:
        address = f"{self._url}/client/v4/zones/{inputs['zoneId']}/dns_records?per_page={PAGE}"
        return [
            str(record["id"])
            for record in self._get(address, self._tokens["cloudflare"])["result"]
            if (record["name"], record["type"], record["content"])
            == (inputs.get("name"), inputs.get("type"), inputs.get("content"))
        ]


def finish_interrupted(engine: Engine, stack: str, cloud: Cloud) -> None:
    """Settle every step that an earlier run began and did not end; nothing to do after a run that ended by itself."""
    latest = checkpoint(engine.workspace, stack)
    steps = pending(latest)
    if not steps:
        return
    engine.report.say(f"an earlier run was cut off in {len(steps)} steps: asking the cloud what they came to")
    known = {str(resource["id"]) for resource in latest.get("resources") or [] if resource.get("id")}
    made = [
        (step.urn, identity)
        for step in steps
        if step.operation == "creating" and (identity := cloud.find(step, known)) is not None
    ]
    engine.capture(*refresh_arguments(made), stack=stack)


def refresh_arguments(made: Sequence[tuple[str, str]]) -> list[str]:
    """Take in what was made, drop the record of what was not, and read the rest anew."""
    imports = [argument for pair in made for word in pair for argument in ("--import-pending-creates", word)]
    return ["refresh", "--yes", "--skip-preview", *imports, "--clear-pending-creates"]
