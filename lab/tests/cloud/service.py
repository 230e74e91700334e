"""The two APIs on a real socket, with machines in memory behind them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import httpx
import pydo
import uvicorn
import yaml
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lab import faults
from lab.cloud import Cloud, PublicNetwork, build
from lab.cloud.tokens import Tokens
from lab.tests.cloud.memory import MemoryMachines
from lab.tests.cloud.shapes import faults as misfits
from tests.waiting import wait_for

NETWORK = PublicNetwork(
    block=IPv4Network("198.19.0.0/24"), gateway=IPv4Address("198.19.0.2"), first=IPv4Address("198.19.0.10")
)
TOKENS = Tokens(digitalocean=f"dop_v1_{'0123456789abcdef' * 4}", cloudflare="0123456789abcdef" * 2 + "01234567")
"""The same for all accounts under test, so that one client can speak to each."""


@dataclass
class Service:
    """A running API, and what is needed to talk to it and to look behind it."""

    cloud: Cloud
    machines: MemoryMachines
    directory: Path
    server: Server
    faults: list[str] = field(default_factory=list)
    arrived: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each DigitalOcean call, from before it is answered."""

    def switch(self, **values: Any) -> None:
        """Set the lab's switches, as a person would: in their file."""
        faults.change(
            self.directory,
            [f"{name}={','.join(value) if isinstance(value, list) else value}" for name, value in values.items()],
        )

    @property
    def url(self) -> str:
        return self.server.url

    def excuse(self, fault: str) -> None:
        """Let one known departure from the published shapes pass; it must have happened."""
        assert any(fault in found for found in self.faults)
        self.faults = [found for found in self.faults if fault not in found]

    def digitalocean(self) -> httpx.Client:
        return self._client(self.cloud.tokens.digitalocean)

    def cloudflare(self) -> httpx.Client:
        return self._client(self.cloud.tokens.cloudflare, "/client/v4")

    def _client(self, token: str, path: str = "") -> httpx.Client:
        # Nothing here is TLS: reading the machine's certificates for every test would take longer than the tests.
        return httpx.Client(
            base_url=self.url + path, headers={"authorization": f"Bearer {token}"}, verify=False, timeout=60
        )


class Inspected:
    """Passes everything through, and holds DigitalOcean's answers to their published shapes on the way."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v2"):
            await self._app(scope, receive, send)
            return
        self._service.arrived.append((scope["method"], scope["path"]))
        start: Message = {}
        content = b""

        async def inspect(message: Message) -> None:
            nonlocal start, content
            if message["type"] == "http.response.start":
                start = message
            else:
                content += message.get("body", b"")
                if not message.get("more_body"):
                    # Before the client has its answer: a test may end with it.
                    headers = {name.decode(): value.decode() for name, value in start["headers"]}
                    found = misfits(scope["method"], scope["path"], start["status"], headers, content)
                    self._service.faults += found
            await send(message)

        await self._app(scope, receive, inspect)


class BearerToken(SansIOHTTPPolicy[Any, Any]):
    """Shows the token over plain HTTP, which the client's own policy does not do."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def on_request(self, request: PipelineRequest[Any]) -> None:
        request.http_request.headers["Authorization"] = f"Bearer {self._token}"


class Server:
    """One real socket for the whole run; each test puts its own account behind it."""

    def __init__(self) -> None:
        self._service: Service | None = None
        self._server = uvicorn.Server(
            uvicorn.Config(self._dispatch, port=0, interface="asgi3", log_level="warning", lifespan="off")
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        wait_for("the server has started", lambda: self._server.started)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
        # DigitalOcean's own client. No retries, since an error is what most tests are after.
        self.official: Any = pydo.Client(
            TOKENS.digitalocean,
            endpoint=self.url,
            retry_total=0,
            authentication_policy=BearerToken(TOKENS.digitalocean),
        )

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._service is not None
        await Inspected(self._service.cloud.app, self._service)(scope, receive, send)

    @contextmanager
    def serving(
        self, directory: Path, machines: MemoryMachines | None = None, *, resume: bool = True
    ) -> Iterator[Service]:
        """Serve the account of a directory; on leaving, every answer must have had its published shape.

        Its switches are set so that a change is in force when it is answered, and calls are not counted.
        """
        if not (directory / faults.FILE).exists():
            faults.change(directory, ["firewall_seconds=0", "calls_a_minute=100000", "calls_an_hour=100000"])
        tokens = directory / "tokens.yaml"
        if not tokens.exists():
            tokens.write_text(yaml.safe_dump(asdict(TOKENS)))
        machines = machines or MemoryMachines()
        service = self._service = Service(build(directory, machines, NETWORK), machines, directory, self)
        if resume:
            service.cloud.resume()
        try:
            yield service
        finally:
            service.cloud.close()
        assert not service.faults, "\n".join(service.faults)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)


class Account:
    """Shorthands for what many tests begin with, by the official client."""

    def __init__(self, service: Service) -> None:
        self.client = service.server.official

    def own_vpcs(self) -> list[str]:
        """Name the VPCs that somebody made: every region has a default one besides."""
        return [vpc["name"] for vpc in self.client.vpcs.list(per_page=200)["vpcs"] if not vpc["default"]]

    def vpc(self, ip_range: str = "10.10.0.0/20", name: str = "net") -> str:
        return str(self.client.vpcs.create({"name": name, "region": "fra1", "ip_range": ip_range})["vpc"]["id"])

    def droplet(self, name: str = "host", **more: Any) -> int:
        """Create a droplet and wait until it is active."""
        body = {"name": name, "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-12-x64", **more}
        created = self.client.droplets.create(body)
        self.finished(created["links"]["actions"][0]["id"])
        return int(created["droplet"]["id"])

    def status(self, droplet: int) -> str:
        return str(self.client.droplets.get(droplet)["droplet"]["status"])

    def act(self, droplet: int, **action: Any) -> dict[str, Any]:
        """Run an action on a droplet to its end."""
        return self.finished(self.client.droplet_actions.post(droplet, action)["action"]["id"])

    def finished(self, action: int) -> dict[str, Any]:
        """Poll an action until it is no longer in progress."""
        found: dict[str, Any] = {}

        def ended() -> bool:
            found.update(self.client.actions.get(action)["action"])
            return bool(found["status"] != "in-progress")

        wait_for(f"action {action} has ended", ended)
        return found
