"""Repair after an interrupted `up`, so that the next one can finish it.

An engine that was killed leaves three things: its lock, plugins that may still work, and steps that the state shows as
begun but not as ended. The resource of such a step may exist in the cloud, but not in the state: it would be made
twice, or its name would prevent a second try. So it is removed, and the step begins again. No other resource can depend
on it yet, because each one waits for the steps that it needs. (The engine has `refresh --import-pending-creates`, but
it forgets the ids that it is given, as of 3.259.)
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from launcher.engine import Engine
from launcher.errors import LauncherError
from launcher.stacks import Config, checkpoint
from launcher.workspace import Workspace

PAGE = 200
REMOVAL_SECONDS = 120
FAILURE = "clearing what an interrupted run left in the lab's cloud"


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """The file with which an engine marks a stack that it works on."""

    path: Path
    pid: int
    host: str

    def is_stale(self) -> bool:
        """True if the process that made it has ended, or another process has its number."""
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
            found.append(Lock(path=path, pid=0, host=socket.gethostname()))  # its engine was killed while writing it
        except FileNotFoundError:
            continue  # released just now
    return found


def clear_stale_locks(workspace: Workspace, stack: str) -> list[Lock]:
    """Remove the locks of engines that have ended; return those of engines that still run."""
    held = []
    for lock in locks(workspace, stack):
        if lock.is_stale():
            lock.path.unlink(missing_ok=True)
        else:
            held.append(lock)
    return held


@dataclass(frozen=True, kw_only=True, slots=True)
class Pending:
    """A step that had begun when the engine was killed."""

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
    """DigitalOcean's list of a kind with names."""

    path: str
    key: str


COLLECTIONS: Mapping[str, Collection] = {
    "digitalocean:index/droplet:Droplet": Collection(path="droplets", key="droplets"),
    "digitalocean:index/firewall:Firewall": Collection(path="firewalls", key="firewalls"),
    "digitalocean:index/sshKey:SshKey": Collection(path="account/keys", key="ssh_keys"),
    "digitalocean:index/vpc:Vpc": Collection(path="vpcs", key="vpcs"),
}
RECORD = "cloudflare:index/dnsRecord:DnsRecord"


class Cloud:
    """The program's kinds of resources in the lab's cloud.

    It uses httpx, not pydo and cloudflare: it makes two calls of each API, and the import of those clients takes five
    times as long.
    """

    def __init__(self, url: str, tokens: Mapping[str, str], transport: httpx.BaseTransport | None = None) -> None:
        self._url = url
        self._tokens = tokens
        self._client = httpx.Client(timeout=20, trust_env=False, transport=transport)

    def made(self, step: Pending, known: set[str]) -> list[str]:
        """List the addresses of resources that a step made: all with its name that are not in the state."""
        if step.type == RECORD:
            place = f"client/v4/zones/{step.inputs['zoneId']}/dns_records"
            wanted = [step.inputs.get(field) for field in ("name", "type", "content")]
            records = self._get(f"{place}?per_page={PAGE}")["result"]
            found = [
                record["id"] for record in records if [record["name"], record["type"], record["content"]] == wanted
            ]
        elif step.type in COLLECTIONS:
            collection = COLLECTIONS[step.type]
            place = f"v2/{collection.path}"
            items = self._get(f"{place}?per_page={PAGE}")[collection.key]
            found = [str(item["id"]) for item in items if item["name"] == step.inputs.get("name")]
        else:  # made only in the state, or by a call that can be repeated
            return []
        return [f"{place}/{identity}" for identity in found if identity not in known]

    def remove(self, address: str) -> None:
        """Remove a resource, when the operation that runs on it has ended."""
        deadline = time.monotonic() + REMOVAL_SECONDS
        while (response := self._call("DELETE", address)).status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            if time.monotonic() > deadline:
                break
            time.sleep(0.5)
        if response.status_code != httpx.codes.NOT_FOUND:
            self._check(response)

    def _get(self, address: str) -> Config:
        return dict(self._check(self._call("GET", address)).json())

    def _call(self, method: str, address: str) -> httpx.Response:
        token = self._tokens["cloudflare" if address.startswith("client/v4/") else "digitalocean"]
        try:
            return self._client.request(method, f"{self._url}/{address}", headers={"Authorization": f"Bearer {token}"})
        except httpx.HTTPError as error:
            raise LauncherError(f"{FAILURE}: {error}; see ./triplane lab status") from error

    @staticmethod
    def _check(response: httpx.Response) -> httpx.Response:
        if response.is_error:
            raise LauncherError(
                f"{FAILURE}: {response.request.method} {response.request.url} was answered with "
                f"{response.status_code} {response.text[:200]}; see ./triplane lab status"
            )
        return response


def end_orphans(workspace: Workspace) -> list[int]:
    """End plugins whose engine is dead, so that they create nothing more; return their process ids."""
    home = str(workspace.pulumi_home)
    ended = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it ended meanwhile
            if process.ppid() == 1 and process.environ().get("PULUMI_HOME") == home:
                process.kill()
                ended.append(process.pid)
    return ended


def finish_interrupted(engine: Engine, stack: str, cloud: Cloud) -> None:
    """Settle every step that an earlier run began and did not end; a run that ended by itself leaves none."""
    latest = checkpoint(engine.workspace, stack)
    steps = pending(latest)
    if not steps:
        return
    engine.report.say(f"an earlier run was cut off in {len(steps)} steps: clearing what they began, to begin again")
    end_orphans(engine.workspace)
    known = {str(resource["id"]) for resource in latest.get("resources") or [] if resource.get("id")}
    for step in steps:
        if step.operation == "creating":
            for address in cloud.made(step, known):
                cloud.remove(address)
    # Removes the pending creations from the state, and reads the resources again that were being changed or deleted.
    engine.capture("refresh", "--yes", "--skip-preview", "--clear-pending-creates", stack=stack)
