"""The droplet's metadata, as the provider serves it at 169.254.169.254: each droplet gets only its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from lab.config import LabConfig
from lab.hosts.network import mac
from lab.interfaces import Machine


def app(config: LabConfig, machines: Callable[[], Iterable[Machine]]) -> Starlette:
    """Build the service; it tells hosts apart by their public address, which they cannot forge."""

    def asking(request: Request) -> Machine | None:
        address = request.client.host if request.client else ""
        return next((machine for machine in machines() if str(machine.public.ip) == address), None)

    def as_json(request: Request) -> Response:
        machine = asking(request)
        if machine is None:
            return PlainTextResponse("no droplet has your address\n", status_code=404)
        return JSONResponse(document(config, machine))

    def as_tree(request: Request) -> Response:
        machine = asking(request)
        if machine is None:
            return PlainTextResponse("no droplet has your address\n", status_code=404)
        found = look_up(tree(config, machine), request.path_params["path"])
        if found is None:
            return PlainTextResponse("not found\n", status_code=404)
        return PlainTextResponse(found)

    return Starlette(
        routes=[
            Route("/metadata/v1.json", as_json),
            Route("/metadata/v1", as_tree, name="root"),
            Route("/metadata/v1/{path:path}", as_tree),
        ]
    )


def document(config: LabConfig, machine: Machine) -> dict[str, Any]:
    """Return all of a droplet's metadata as one document."""
    interfaces: dict[str, Any] = {
        "public": [
            {
                "ipv4": {**_address(machine.public), "gateway": str(config.router)},
                "mac": mac(machine.id, "eth0"),
                "type": "public",
            }
        ]
    }
    if machine.private is not None:
        interfaces["private"] = [
            {
                "ipv4": {**_address(machine.private), "gateway": "0.0.0.0"},  # noqa: S104 - what the provider says for none
                "mac": mac(machine.id, "eth1"),
                "type": "private",
            }
        ]
    return {
        "droplet_id": machine.id,
        "hostname": machine.name,
        "user_data": machine.user_data,
        "vendor_data": "",
        "public_keys": list(machine.public_keys),
        "auth_key": "",
        "region": machine.region,
        "interfaces": interfaces,
        "floating_ip": {"ipv4": {"active": False}},
        "reserved_ip": {"ipv4": {"active": False}},
        "dns": {"nameservers": [str(config.services)]},
        "tags": list(machine.tags),
        "features": {"dhcp_enabled": False},
    }


def tree(config: LabConfig, machine: Machine) -> Mapping[str, Any]:
    """Rename the document's parts to the names in the provider's tree of plain texts."""
    whole = document(config, machine)
    names = {"droplet_id": "id", "user_data": "user-data", "vendor_data": "vendor-data", "public_keys": "public-keys"}
    renamed = {names.get(key, key): value for key, value in whole.items() if key != "auth_key"}
    renamed["interfaces"] = {
        kind: {str(number): {**one, "ipv4": _renamed(one["ipv4"])} for number, one in enumerate(found)}
        for kind, found in whole["interfaces"].items()
    }
    return renamed


def _renamed(ipv4: Mapping[str, str]) -> Mapping[str, str]:
    return {"address" if key == "ip_address" else key: value for key, value in ipv4.items()}


def look_up(root: Mapping[str, Any], path: str) -> str | None:
    """Find a path's text: a folder lists its entries, sub-folders with a slash; None where there is no such entry."""
    entry: Any = root
    for name in path.strip("/").split("/") if path.strip("/") else []:
        if not isinstance(entry, Mapping) or name not in entry:
            return None
        entry = entry[name]
    if isinstance(entry, Mapping):
        return "\n".join(f"{name}/" if isinstance(below, Mapping) else name for name, below in entry.items())
    if isinstance(entry, list):
        return "\n".join(str(item) for item in entry)
    return str(entry).lower() if isinstance(entry, bool) else str(entry)


def _address(interface: IPv4Interface) -> dict[str, str]:
    return {"ip_address": str(interface.ip), "netmask": str(IPv4Address(interface.network.netmask))}
