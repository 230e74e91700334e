"""A resource as a rule sees it, and the classes of rules."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

BASE64 = re.compile(r"[A-Za-z0-9+/]{64,}={0,2}")
CREDENTIAL = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\bdo[opr]_v1_[0-9a-f]{16,}"  # DigitalOcean's tokens
    r"|\bAuthorization: Bearer\s"
    r"|\bhvs\.[A-Za-z0-9_-]{20,}|\bpul-[0-9a-f]{40}\b"  # Vault's and Pulumi's tokens
)
"""Pattern of values that must be secrets."""
API_PORT = 6443
"""Default port of the API."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that the engine was told to encrypt."""

    value: Any = field(repr=False)


class Unknown:
    """A value that a preview does not know, since only the update makes it."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN = Unknown()


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """Ports in the notation of a firewall rule, and the ranges that they are open to; `ports` is empty for icmp."""

    protocol: str
    ports: str
    ranges: tuple[str, ...]

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Opening:
        """Read an entry of a stack's file."""
        ports = str(entry.get("ports") or "")
        return cls(
            protocol=entry.get("protocol", "tcp"),
            ports="all" if ports == "1-65535" else ports,
            ranges=tuple(entry.get("ranges", ())),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """Settings of a stack that allow things which the rules otherwise refuse."""

    world_ssh: bool = False
    node_ports: tuple[str, ...] = ()
    """Ranges that may reach NodePorts from outside."""
    api_port: int = API_PORT
    ingress: tuple[Opening, ...] = ()
    """Other open ports of nodes."""
    icmp: tuple[str, ...] = ()
    """Ranges that may ping hosts."""
    outbound: tuple[Opening, ...] = ()
    """Outbound access besides the default."""
    nodes_reach_kubelets: bool = False

    @classmethod
    def of(cls, setting: Callable[[str], Any]) -> Intent:
        """Read a stack's settings, each by its name in the stack's file; None means that it is not written there."""

        def openings(name: str) -> tuple[Opening, ...]:
            return tuple(map(Opening.of, setting(name) or ()))

        return cls(
            world_ssh=bool(setting("allowWorldSsh")),
            node_ports=tuple(setting("nodePortsAllowed") or ()),
            api_port=int(setting("apiPort") or API_PORT),
            ingress=openings("ingressPorts"),
            icmp=tuple(setting("icmpAllowed") or ()),
            outbound=openings("outboundAllowed"),
            nodes_reach_kubelets=bool(setting("nodesReachKubelets")),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Resource:
    """One resource; `properties` are named as the providers' schemas name them."""

    type: str
    """A token such as `digitalocean:index/firewall:Firewall`."""
    name: str
    properties: Mapping[str, Any]
    ignore_changes: tuple[str, ...] = ()
    """Properties whose later changes are ignored."""

    def get(self, name: str) -> Any:  # noqa: ANN401 - a property can be anything
        """A property, without the mark of a secret; None if it is not set."""
        return bare(self.properties.get(name))


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """A check of one resource at a time; it yields what is wrong with it: "… Write …"."""

    name: str
    description: str
    types: tuple[str, ...]
    """Ends of the resource types that it checks, such as `:Firewall`; empty for all of them."""
    check: Callable[[Resource, Intent], Iterator[str]]
    sees_secrecy: bool = False
    """True if it works only with marked secret values; the engine does not mark them for policy packs."""

    def violations(self, resource: Resource, intent: Intent) -> list[str]:
        """Everything wrong with a resource."""
        if self.types and not resource.type.endswith(self.types):
            return []
        return list(self.check(resource, intent))


@dataclass(frozen=True, kw_only=True, slots=True)
class StackRule:
    """A check of all resources together; it yields each wrong resource and the reason."""

    name: str
    description: str
    check: Callable[[Sequence[Resource]], Iterator[tuple[Resource, str]]]


def bare(value: object) -> object:
    """Remove the marks of secrets from a value, at all levels."""
    if isinstance(value, Secret):
        return bare(value.value)
    if isinstance(value, Mapping):
        return {key: bare(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [bare(item) for item in value]
    return value


def items(value: object) -> list[Any]:
    """Items of a list property; none if it is not set, or unknown until the update."""
    return value if isinstance(value, list) else []


def readable_texts(value: object) -> Iterator[str]:
    """All texts in a value that are not secret."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from readable_texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from readable_texts(item)


def credentials(text: str) -> list[str]:
    """Private keys and tokens in a text, also those written in base64; each is named by its first line only."""
    texts = [text, *filter(None, map(_decoded, BASE64.findall(text)))]
    return [_kind(found) for each in texts for found in CREDENTIAL.findall(each)]


def _kind(found: str) -> str:
    return found.strip("-").removeprefix("BEGIN ").lower() if found.startswith("-----") else "token"


def _decoded(text: str) -> str:
    try:
        return b64decode(text, validate=True).decode()
    except (NotBase64, UnicodeDecodeError):
        return ""
