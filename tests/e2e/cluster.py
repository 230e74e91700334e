"""A cluster of its own for the end-to-end tests: another lab, beside whatever runs on this machine."""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import os
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import dns.resolver
import httpx
import yaml

from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
BLOCK = "198.19.0.0/24"
SERVICES = "198.19.0.1"


class CommandError(AssertionError):
    """A command of the launcher failed; the message holds its output."""


@dataclass
class Cluster:
    """What an operator does, as functions: every one goes through the launcher or a public API."""

    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "TRIPLANE_DIR": str(self.directory),
            "TRIPLANE_LAB": "e2e",
            "TRIPLANE_LAB_BLOCK": BLOCK,
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "launcher", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def run(self, *arguments: str, fails: bool = False, timeout: float = 600) -> str:
        """What a command of `./triplane` prints; `fails` where a failure is what is expected."""
        process = self.start(*arguments)
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            raise CommandError(f"{arguments} took more than {timeout} s:\n{output[-4000:]}") from None
        if (process.returncode != 0) != fails:
            raise CommandError(f"{shlex.join(arguments)} ended with {process.returncode}:\n{output[-6000:]}")
        return output

    def tries(self, *arguments: str, timeout: float = 120) -> str:
        """What a command prints, whether it fails or not: for the words of an error."""
        output, _ = self.start(*arguments).communicate(timeout=timeout)
        return output

    def up(self) -> str:
        return self.run("up")

    def configure(self, path: str, value: str) -> None:
        self.run("pulumi", "config", "set", "--path", path, value)

    def unset(self, path: str) -> None:
        self.run("pulumi", "config", "rm", "--path", path)

    def write(self, name: str, value: Any) -> None:
        """Write a whole setting into the stack's file, as with an editor."""
        file = self.directory / "Pulumi.lab.yaml"
        document = yaml.safe_load(file.read_text())
        document["config"][f"triplane:{name}"] = value
        file.write_text(yaml.safe_dump(document))

    @contextmanager
    def faults(self, *switches: str) -> Iterator[None]:
        """The lab's cloud on a bad day (docs/lab-faults.md)."""
        self.run("lab", "faults", "set", *switches)
        try:
            yield
        finally:
            self.run("lab", "faults", "clear")

    def setting(self, name: str) -> Any:
        """What the stack's generated file has, such as the digests that the lab's own builds have."""
        return yaml.safe_load((self.directory / "Pulumi.lab.yaml").read_text())["config"][f"triplane:{name}"]

    def verbosity(self, component: str, level: str) -> None:
        """Change a flag that changes nothing else."""
        self.configure(f"triplane:extraFlags.{component}.v", level)

    def is_well(self) -> bool:
        process = self.start("status")
        output, _ = process.communicate(timeout=120)
        return process.returncode == 0 and "All is well." in output

    def plan(self) -> dict[str, str]:
        """Name → operation of everything that the next `up` would touch."""
        # The engine prints nothing else to standard output; progress of the launcher goes to standard error.
        result = subprocess.run(
            [sys.executable, "-m", "launcher", "pulumi", "preview", "--json"],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if result.returncode != 0:
            raise CommandError(result.stdout + result.stderr)
        steps = json.loads(result.stdout)["steps"]
        return {step["urn"].split("::")[-1]: step["op"] for step in steps if step["op"] != "same"}

    def applied(self) -> dict[str, str]:
        """Run `up`, and return name → operation of everything that it touched, by the times in the state.

        A plan would say it before, and costs as much as an `up` with nothing to do.
        """
        before = self._recorded()
        self.up()
        after = self._recorded()
        operations = dict.fromkeys(after.keys() - before.keys(), "create")
        operations |= dict.fromkeys(before.keys() - after.keys(), "delete")
        for urn in after.keys() & before.keys():
            (old, made), (new, modified) = before[urn], after[urn]
            if old != new:
                operations[urn] = "replace"
            elif made != modified:
                operations[urn] = "update"
        return {urn.split("::")[-1]: operation for urn, operation in operations.items()}

    def _recorded(self) -> dict[str, tuple[str, str]]:
        """URN → identity, and time of the last change, of everything in the state."""
        state = json.loads((self.directory / "state/.pulumi/stacks/triplane/lab.json").read_text())
        resources = state["checkpoint"]["latest"]["resources"]
        return {each["urn"]: (each.get("id", ""), each["modified"]) for each in resources if not each.get("delete")}

    def ssh(self, host: str, command: str, *, fails: bool = False) -> str:
        return self.run("ssh", host, command, fails=fails)

    def answers(self, host: str, command: str) -> bool:
        """Whether a command on a host succeeds."""
        process = self.start("ssh", host, command)
        process.communicate(timeout=120)
        return process.returncode == 0

    @cached_property
    def outputs(self) -> dict[str, Any]:
        result = subprocess.run(
            [sys.executable, "-m", "launcher", "pulumi", "stack", "output", "--json", "--show-secrets"],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        return dict(json.loads(result.stdout))

    def forget_outputs(self) -> None:
        self.__dict__.pop("outputs", None)

    @property
    def hosts(self) -> dict[str, dict[str, Any]]:
        return {node["name"]: node for node in self.outputs["hosts"]}

    @property
    def tokens(self) -> dict[str, str]:
        return dict(yaml.safe_load((self.directory / "lab/tokens.yaml").read_text()))

    @property
    def digitalocean(self) -> httpx.Client:
        return self._client("v2", "digitalocean")

    @property
    def cloudflare(self) -> httpx.Client:
        return self._client("client/v4", "cloudflare")

    def _client(self, path: str, account: str) -> httpx.Client:
        """Client of one of the two APIs; it keeps no connection, so nobody has to close it."""
        return httpx.Client(
            base_url=f"http://{SERVICES}:8000/{path}",
            headers={"Authorization": f"Bearer {self.tokens[account]}"},
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=False,
            timeout=60,
        )

    def droplet(self, name: str) -> dict[str, Any]:
        droplets = self.digitalocean.get("/droplets", params={"per_page": 200}).json()["droplets"]
        return next(droplet for droplet in droplets if droplet["name"].split(".")[0] == name)

    def power(self, name: str, action: str) -> None:
        """Do a power action and wait until it is done."""
        droplet = self.droplet(name)["id"]
        answer = self.digitalocean.post(f"/droplets/{droplet}/actions", json={"type": action})
        assert answer.status_code == 201, answer.text
        identity = answer.json()["action"]["id"]
        wait_for(
            f"{action} of {name}",
            lambda: self.digitalocean.get(f"/actions/{identity}").json()["action"]["status"] == "completed",
        )

    @contextmanager
    def api(self) -> Iterator[Api]:
        yield Api(self.outputs["apiEndpoint"], self.outputs["kubeconfig"])


def resolve(name: str) -> list[str]:
    """The addresses that the lab's name server gives for a name; a lost datagram is sent again, as resolvers do."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.timeout, resolver.lifetime = [SERVICES], 5, 15
    try:
        return [str(data) for data in resolver.resolve(f"{name.removesuffix('.')}.", "A")]
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []


class Api:
    """A client as any other: by name, TLS both ways, a connection a request, the next address where one refuses.

    A server that goes away may close a connection that it has just accepted. Where it did so before any word of an
    answer, the request is sent once more, as RFC 9110, 9.2.2 has it for idempotent methods; `repeated` counts that.
    """

    repeated = 0

    def __init__(self, endpoint: str, kubeconfig: str) -> None:
        self.name, _, port = endpoint.removeprefix("https://").partition(":")
        self.port = int(port)
        config = yaml.safe_load(kubeconfig)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.context = ssl.create_default_context(cadata=decoded(cluster["certificate-authority-data"]))
        with open_pem(decoded(user["client-certificate-data"]) + decoded(user["client-key-data"])) as path:
            self.context.load_cert_chain(path)

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        try:
            return self._send(method, path, body)
        except (http.client.RemoteDisconnected, ConnectionResetError, ssl.SSLEOFError):
            if method == "POST":
                raise
            self.repeated += 1
            return self._send(method, path, body)

    def _send(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        with self._connected() as sock:
            connection = http.client.HTTPSConnection(self.name, self.port, context=self.context)
            connection.sock = sock
            kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
            headers = {"Content-Type": kind, "Connection": "close"}
            connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
            response = connection.getresponse()
            text = response.read()
            try:
                return response.status, json.loads(text)
            except ValueError:
                return response.status, text.decode()

    def _connected(self) -> ssl.SSLSocket:
        errors: list[Exception] = []
        for address in resolve(self.name):
            try:
                plain = socket.create_connection((address, self.port), timeout=4)
            except OSError as error:
                errors.append(error)
                continue
            plain.settimeout(30)
            return self.context.wrap_socket(plain, server_hostname=self.name)
        raise CommandError(f"no address of {self.name} answers: {errors}")


@dataclass
class Load:
    """Writes and reads through the API until told to stop; what fails is kept, and what is lost.

    A write that etcd is ordering while its leader goes may never be ordered: etcd answers it with a time-out after 7 s.
    It is done again, as a controller does, and `timed_out` counts it (docs/decisions/the-leader-leaves-by-itself.md).
    """

    api: Api
    requests: int = 0
    timed_out: int = 0
    failures: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    """Writes that were acknowledged and are not there at the end."""
    _acknowledged: set[str] = field(default_factory=set)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[Load]:
        path = "/api/v1/namespaces/default/configmaps"
        name = f"load-{time.monotonic_ns()}"
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        assert self.api.request("POST", path, manifest)[0] == 201
        thread = threading.Thread(target=self._loop, args=(f"{path}/{name}",))
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()
            _, answer = self.api.request("GET", f"{path}/{name}")
            self.lost = self._acknowledged - set(answer.get("data") or {})
            self.api.request("DELETE", f"{path}/{name}")

    def _loop(self, path: str) -> None:
        for number in map(str, itertools.count(1)):
            if self._stop.is_set():
                return
            # Each write adds a key, and none repeats an earlier one: what is lost once stays lost.
            if self._try("PATCH", path, {"data": {number: ""}}, number):
                self._acknowledged.add(number)
            self._try("GET", path, None, number)

    def _try(self, method: str, path: str, body: Any, number: str) -> bool:
        self.requests += 1
        try:
            status, answer = self.api.request(method, path, body)
            if method == "PATCH" and status == 500 and "etcdserver: request timed out" in str(answer):
                self.timed_out += 1
                status, answer = self.api.request(method, path, body)
            if status == 200 and number in answer["data"]:
                return True
            self.failures.append(f"{method} {number}: {status} {str(answer)[:300]}")
        except Exception as error:  # noqa: BLE001 - whatever a client sees is a failure
            self.failures.append(f"{method} {number}: {error!r}")
        return False


def decoded(text: str) -> str:
    return base64.b64decode(text).decode()


@contextmanager
def open_pem(content: str) -> Iterator[str]:
    """A path to a secret that stands on no disk."""
    descriptor = os.memfd_create("pem")
    try:
        os.write(descriptor, content.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def lines_with(needles: Sequence[str], paths: Sequence[Path]) -> list[str]:
    """Places where a secret stands in the open; the secret itself is not repeated."""
    found = []
    for path in paths:
        for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file() and not p.is_symlink()]:
            content = file.read_bytes()
            found += [f"{file} holds {needle[:12]}…" for needle in needles if needle.encode() in content]
    return found
