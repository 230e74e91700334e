"""The way from this machine to the hosts: its own address, and the outbound ports that it needs."""

from __future__ import annotations

import socket
from enum import StrEnum
from ipaddress import IPv4Address

from doctor.digitalocean import DROPLET
from doctor.findings import Finding, note, ok, wrong
from doctor.outside import Outside
from doctor.reading import Reader, ReadError
from doctor.stack import Stack
from model.ports import SSH, SSH_BOOTSTRAP

SECONDS = 8.0


def address(stack: Stack, told: IPv4Address | None, outside: Outside | None) -> Finding:
    """Check that this machine may reach the hosts by SSH, and say whether it may reach the API."""
    where = "as --address says"
    if told is None:
        if outside is None:
            return note("Not checked: nobody was asked for this machine's address.", "Say it: --address 203.0.113.7")
        try:
            told, where = outside.address(), f"as {outside.page.host} sees it"
        except ReadError as error:
            return note(f"Not checked: {error}.", "Say this machine's public address: --address 203.0.113.7")
    settings = stack.settings
    if not any(told in network for network in settings.ssh_allowed):
        return wrong(
            f"This machine is {told}, {where}, and triplane:sshAllowed does not have it: every step would time out.",
            f"Write {told}/32 there, or run pulumi where one of its networks is.",
        )
    if not any(told in network for network in settings.api_allowed):
        return note(f"{told} is in sshAllowed, and not in apiAllowed: kubectl will not work from here.")
    return ok(f"{told}, {where}, is in sshAllowed and apiAllowed.")


def ports(stack: Stack, cloud: Reader, told: str | None) -> Finding:
    """Try the two outbound ports of SSH: to a host that was named, or only the first one to a host of the stack."""
    both = (SSH.number, SSH_BOOTSTRAP.number)
    if told is not None:
        return _tried(told, both)
    if existing := _a_host(stack, cloud):
        return _tried(existing, (SSH.number,))
    return note(
        f"Ports {both[0]} and {both[1]} outbound: not tried, for no host exists yet.",
        "--dial HOST tries a machine of yours; offices and CI often let only some ports out.",
    )


def _a_host(stack: Stack, cloud: Reader) -> str | None:
    """Find the address of a host of this stack that is on."""
    for droplet in cloud.pages("/v2/droplets", "droplets"):
        if stack.has_made(DROPLET, droplet["id"]) and droplet["status"] == "active":
            for network in droplet["networks"]["v4"]:
                if network["type"] == "public":
                    return str(network["ip_address"])
    return None


def _tried(host: str, ports: tuple[int, ...]) -> Finding:
    answers = {port: _dial(host, port) for port in ports}
    if unknown := next((answer for answer in answers.values() if answer is Answer.UNKNOWN), None):
        return wrong(f"{host} {unknown}.", "Write a name or an address that this machine can resolve.")
    told = f"{host}: {', '.join(f'port {port} {answer}' for port, answer in answers.items())}."
    if Answer.SILENT in answers.values():
        return wrong(
            told, "If it listens there, this network does not let these ports out: go by another one, or a bastion."
        )
    if Answer.REFUSED in answers.values():
        return note(told, "A refusal may come from the host, or from a firewall on the way.")
    return ok(told)


class Answer(StrEnum):
    """Result of a dial."""

    OPEN = "answers"
    REFUSED = "is refused"
    SILENT = f"does not answer within {SECONDS:g} s"
    UNKNOWN = "does not resolve"


def _dial(host: str, port: int) -> Answer:
    try:
        with socket.create_connection((host, port), timeout=SECONDS):
            return Answer.OPEN
    except socket.gaierror:
        return Answer.UNKNOWN
    except ConnectionRefusedError:
        return Answer.REFUSED
    except OSError:
        return Answer.SILENT
