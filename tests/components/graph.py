"""Runs the whole program against a recording engine, and keeps what it registered."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import runpy
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc
import pulumi
import yaml
from pulumi.runtime import mocks, resource, rpc
from pulumi.runtime.proto import source_pb2
from pulumi.runtime.settings import get_root_resource, reset_options, set_root_resource
from pulumi.runtime.stack import Stack, wait_for_rpcs

import preflight
from model.digitalocean import REGIONS, SIZES

ROOT = Path(__file__).resolve().parents[2]

# The SDK tells the engine where in the program each resource is made; nothing here asks, and it is a fifth of the time.
resource._get_stack_trace = source_pb2.StackTrace

COMPUTED: dict[str, Callable[[str], dict[str, Any]]] = {
    "tls:index/privateKey:PrivateKey": lambda name: {
        "privateKeyPem": f"-----BEGIN EC PRIVATE KEY-----\n{name}\n-----END EC PRIVATE KEY-----\n",
        "privateKeyOpenssh": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{name}\n-----END OPENSSH PRIVATE KEY-----\n",
        "publicKeyPem": f"public {name}\n",
        "publicKeyOpenssh": f"ecdsa-sha2-nistp256 {name}\n",
    },
    "tls:index/selfSignedCert:SelfSignedCert": lambda name: {
        "certPem": f"certificate {name}\n",
        "validityEndTime": "2036-01-01T00:00:00Z",
    },
    "tls:index/certRequest:CertRequest": lambda name: {"certRequestPem": f"request {name}\n"},
    "tls:index/locallySignedCert:LocallySignedCert": lambda name: {
        "certPem": f"certificate {name}\n",
        "validityEndTime": "2027-01-01T00:00:00Z",
    },
    "digitalocean:index/droplet:Droplet": lambda name: {
        "ipv4Address": f"address-of-{name}",
        "ipv4AddressPrivate": f"private-address-of-{name}",
    },
    "digitalocean:index/sshKey:SshKey": lambda name: {"fingerprint": f"fingerprint-of-{name}"},
    "digitalocean:index/vpc:Vpc": lambda name: {},
}


@dataclass(frozen=True)
class Resource:
    """One registration, as the engine would have seen it; secret inputs are `Secret`."""

    urn: str
    type: str
    name: str
    parent: str
    secret_outputs: frozenset[str]
    inputs: Mapping[str, Any]
    depends_on: frozenset[str]
    ignore_changes: tuple[str, ...]
    delete_before_replace: bool | None
    """None leaves it to the plugin."""
    deleted_with: str
    replace_with: tuple[str, ...]
    protect: bool
    delete_timeout: str


@dataclass(frozen=True)
class Secret:
    """A value that the engine was told to encrypt."""

    value: Any


@dataclass
class Graph:
    resources: list[Resource] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    def of(self, kind: str) -> list[Resource]:
        """Resources whose type ends like this, e.g. `:Droplet`, by name: what waits for nobody comes in any order."""
        found = (resource for resource in self.resources if resource.type.endswith(kind))
        return sorted(found, key=lambda resource: resource.name)

    def named(self, kind: str, name: str) -> Resource:
        found = [resource for resource in self.of(kind) if resource.name == name]
        assert len(found) == 1, f"{kind} {name}: {[resource.name for resource in self.of(kind)]}"
        return found[0]

    def waited(self, later: Resource, earlier: Resource) -> bool:
        """Whether a resource was registered after another one was made."""
        return self.resources.index(earlier) < self.resources.index(later)

    def before(self, resource: Resource) -> set[str]:
        """URNs of everything that must be there first: by dependency, through components to their children."""
        by_urn = {other.urn: other for other in self.resources}
        seen: set[str] = set()
        queue = list(resource.depends_on)
        while queue:
            urn = queue.pop()
            if urn not in seen:
                seen.add(urn)
                queue += by_urn[urn].depends_on
        return seen


OFFERS: dict[str, dict[str, Any]] = {
    "digitalocean:index/getSizes:getSizes": {
        "sizes": [
            {
                "slug": slug,
                "available": True,
                "vcpus": size.vcpus,
                "memory": size.memory_gib * 1024,
                "disk": size.disk_gib,
                "priceMonthly": size.usd_a_month,
            }
            for slug, size in SIZES.items()
        ]
    },
    "digitalocean:index/getRegions:getRegions": {
        "regions": [{"slug": slug, "available": True, "sizes": list(SIZES)} for slug in REGIONS]
    },
    "digitalocean:index/getDroplets:getDroplets": {"droplets": []},
}
"""What DigitalOcean answers: everything everywhere."""


class Refused(grpc.RpcError):
    """A function that fails, as the engine reports it."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNKNOWN

    def details(self) -> str:
        return "GET https://api.digitalocean.com/v2/sizes: 403 You are missing the required permission sizes:read\nmore"


class Engine(mocks.Mocks):
    def __init__(
        self,
        offers: Mapping[str, Any] = MappingProxyType(OFFERS),
        outputs: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.offers = offers
        self.outputs = outputs
        """Outputs of the stack's last `up`; empty before the first."""
        self.registered: list[str] = []
        self.stack = ""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        self.registered.append(args.name)
        computed = dict(COMPUTED[args.typ](args.name)) if args.typ in COMPUTED else {}
        if args.typ.endswith(":Droplet"):
            computed["disk"] = SIZES[args.inputs["size"]].disk_gib
        return f"id-of-{args.name}", {**args.inputs, **computed}

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        if args.token == "pulumi:pulumi:readStackOutputs":
            assert args.args == {"name": f"{pulumi.get_organization()}/triplane/{self.stack}"}
            return {"outputs": dict(self.outputs)}, []
        if args.token not in OFFERS:
            msg = f"the program calls {args.token}: it should take everything else from its settings"
            raise AssertionError(msg)
        if args.token not in self.offers:
            raise Refused
        return dict(self.offers[args.token]), []


class RecordingMonitor(mocks.MockMonitor):
    def __init__(self, engine: Engine, graph: Graph) -> None:
        super().__init__(engine)
        self.graph = graph

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        response = super().RegisterResource(request)  # type: ignore[no-untyped-call]  # the SDK's mocks have no types
        if request.type == "pulumi:pulumi:Stack":
            return response
        self.graph.resources.append(
            Resource(
                urn=response.urn,
                type=request.type,
                name=request.name,
                parent=request.parent,
                secret_outputs=frozenset(request.additionalSecretOutputs),
                inputs={
                    key: plain(value)
                    for key, value in rpc.deserialize_properties(request.object, keep_unknowns=True).items()
                },
                depends_on=frozenset(request.dependencies),
                ignore_changes=tuple(request.ignoreChanges),
                delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
                deleted_with=request.deletedWith,
                replace_with=tuple(request.replace_with),
                protect=request.protect,
                delete_timeout=request.customTimeouts.delete,
            )
        )
        return response


def plain(value: Any) -> Any:
    if rpc.is_rpc_secret(value):
        return Secret(plain(rpc.unwrap_rpc_secret(value)))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def texts(value: Any, *, secrets: bool = False) -> Iterator[str]:
    """Every text in a value, outside secrets unless asked."""
    if isinstance(value, Secret):
        if secrets:
            yield from texts(value.value, secrets=True)
    elif isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from texts(item, secrets=secrets)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts(item, secrets=secrets)


def config_of(stack: str) -> dict[str, str]:
    document = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in document.items()}


SMALL = json.dumps(
    [
        pool | {"count": min(pool["count"], 2) if pool["roles"] == ["kube-node"] else 1}
        for pool in json.loads(config_of("lab")["triplane:pools"])
    ]
)
"""The lab's pools with one member, one master and two nodes: half of the work, where more hosts show no more."""

TOKENS = {"digitalocean:token": "dop_v1_" + "0" * 64, "cloudflare:apiToken": "x" * 40}


@cache
def graph_of(stack: str, **changes: str) -> Graph:
    """The graph of a stack file with some settings (JSON texts by name) changed."""
    return run_program(stack, Engine(), **changes)


def run_program(stack: str, engine: Engine, **changes: str) -> Graph:
    """The same, with an engine of one's own; raises what the program raises."""
    graph = Graph()
    engine.stack = stack
    asyncio.set_event_loop(asyncio.new_event_loop())
    reset_options()
    set_root_resource(None)  # type: ignore[arg-type]  # the SDK's way to forget the last one
    monitor = RecordingMonitor(engine, graph)
    mocks.set_mocks(engine, project="triplane", stack=stack, preview=False, monitor=monitor)
    config = config_of(stack) | {f"triplane:{name}": value for name, value in changes.items()} | TOKENS
    pulumi.runtime.set_all_config(config, list(TOKENS))

    async def run() -> dict[str, Any]:
        runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")
        await wait_for_rpcs()
        collected: dict[str, Any] = {}
        stack_itself = get_root_resource()
        assert isinstance(stack_itself, Stack)
        for name, value in stack_itself.outputs.items():
            output = pulumi.Output.from_input(value)
            resolved = await output.future(with_unknowns=True)
            collected[name] = Secret(resolved) if await output.is_secret() else resolved
        return collected

    interrupt, debug = signal.getsignal(signal.SIGINT), pulumi.log.debug
    os.environ.pop(preflight.AGENT, None)  # whatever the terminal has that the tests are run from
    try:
        graph.outputs = asyncio.get_event_loop().run_until_complete(run())
    finally:
        # What the program asks of an interpreter of its own is not for this one.
        signal.signal(signal.SIGINT, interrupt)
        pulumi.log.debug = debug
        gc.enable()
    return graph


POOLS: list[dict[str, Any]] = json.loads(config_of("lab")["triplane:pools"])


def pools(changed: str, **change: object) -> str:
    """The lab's pools with a change in one of them."""
    return json.dumps([pool | change if pool["name"] == changed else pool for pool in POOLS])


def engine_after(graph: Graph) -> Engine:
    """An engine with the outputs that this graph left."""
    return Engine(
        outputs={name: value.value if isinstance(value, Secret) else value for name, value in graph.outputs.items()}
    )
