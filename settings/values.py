"""Checks of single values: each returns the value, or raises ValueError with what is wrong and what to write instead.

A message continues the words "SETTING = VALUE …".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Collection
from ipaddress import AddressValueError, IPv4Interface, IPv4Network, NetmaskValueError
from typing import TypeVar
from urllib.parse import urlsplit

from model import ports
from settings.mistakes import write_one_of

_T = TypeVar("_T")

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SLUG = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")
_HEX_32 = re.compile(r"[0-9a-f]{32}")
_HEX_64 = re.compile(r"[0-9a-f]{64}")
_IMAGE_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_IMAGE_HOST = r"(?:[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)+|localhost)(?::[0-9]{1,5})?"
_IMAGE_NAME = re.compile(rf"{_IMAGE_HOST}(?:/{_IMAGE_PART})+(?::[A-Za-z0-9_][-A-Za-z0-9_.]{{0,127}})?")
_IMAGE_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_IMAGE_EXAMPLE = "Write e.g. registry.k8s.io/pause:3.10@sha256:<64 hex digits>."

SSH_KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
)


def dns_label(value: str) -> str:
    """Accept one part of a host name (RFC 1123)."""
    if _LABEL.fullmatch(value):
        return value
    wish = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")[:63].strip("-")
    instead = f" Write e.g. {wish}." if wish else ""
    raise ValueError(f"is not a DNS label: 1 to 63 of a-z, 0-9 and -, neither first nor last a dash.{instead}")


def dns_name(value: str) -> str:
    """Accept a host name of two or more labels, without a final dot."""
    labels = value.split(".")
    if len(labels) > 1 and len(value) <= 253 and all(_LABEL.fullmatch(label) for label in labels):
        return value
    wish = value.lower().strip(".")
    right = len(labels) > 1 and all(_LABEL.fullmatch(label) for label in wish.split("."))
    instead = wish if right and "." in wish else "k8s.example.com"
    raise ValueError(f"is not a DNS name: labels of a-z, 0-9 and -, separated by dots. Write e.g. {instead}.")


def zone_id(value: str) -> str:
    """Accept the id of a Cloudflare zone."""
    if _HEX_32.fullmatch(value):
        return value
    raise ValueError(
        "is not a zone id: 32 hex digits, lower case. Copy it from the zone's overview page in Cloudflare's dashboard."
    )


def sha256(value: str) -> str:
    """Accept a SHA-256 digest in hex."""
    if _HEX_64.fullmatch(value):
        return value
    raise ValueError("is not a SHA-256 digest: 64 hex digits, lower case. Write what sha256sum prints for the file.")


def url(value: str) -> str:
    """Accept the address of a web server, and take off its last slash."""
    example = "Write e.g. https://server.example.com/path."
    try:
        parts = urlsplit(value)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_is_fine = urlsplit(""), False
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_fine or re.search(r"\s", value):
        raise ValueError(f"is not an http or https address. {example}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("has a user name or password in it, and it lands on hosts in plain view. Write it without.")
    if parts.query or parts.fragment:
        raise ValueError(f"has a query or fragment, but files' paths are put after it. {example}")
    return value.rstrip("/")


def network(value: object) -> IPv4Network:
    """Accept an IPv4 network in CIDR notation; a bare address is a network of one."""
    if isinstance(value, IPv4Network):
        return value
    if not isinstance(value, str):
        raise ValueError("is not a CIDR. Write it as text, e.g. 10.240.0.0/20.")  # noqa: TRY004 - pydantic wants ValueError
    if ":" in value:
        raise ValueError("is IPv6, but Triplane's droplets speak IPv4 only. Write an IPv4 range, e.g. 203.0.113.7/32.")
    try:
        interface = IPv4Interface(value)
    except (AddressValueError, NetmaskValueError):
        raise ValueError("is not a CIDR. Write an address, a slash and a prefix length, e.g. 10.240.0.0/20.") from None
    if interface.ip != interface.network.network_address:
        raise ValueError(f"has bits set after its prefix. Write {interface.network} for the network around it.")
    return interface.network


def slug(what: str, example: str) -> Callable[[str], str]:
    """Make a check that accepts the form of the API's name of `what`: "a region"; only the API knows if it exists."""

    def check(value: str) -> str:
        if _SLUG.fullmatch(value):
            return value
        raise ValueError(f"is not the slug of {what}: lower-case letters, digits and dashes. Write e.g. {example}.")

    return check


def port_range(value: object) -> tuple[int, int]:
    """Accept a port, two of them with a dash between, or `all`, and return the first and the last one."""
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    first, dash, last = ("1", "-", "65535") if text == "all" else text.partition("-")
    numbers = (first, last if dash else first)
    if not all(number.isascii() and number.isdigit() and len(number) <= 5 for number in numbers):
        raise ValueError("is neither a port nor a range of ports. Write e.g. 443, 8000-8999 or all.")
    low, high = map(int, numbers)
    if not ports.LEAST <= low <= high <= ports.MOST:
        raise ValueError(f"is outside {ports.LEAST} to {ports.MOST}, or ends before it begins. Write e.g. 8000-8999.")
    return low, high


def choice(what: str, choices: Collection[str]) -> Callable[[str], str]:
    """Make a check that accepts one of `choices`; `what` is what the value should have been: "a region"."""

    def check(value: str) -> str:
        if value in choices:
            return value
        raise ValueError(f"is not {what} that Triplane knows. {write_one_of(value, choices)}")

    return check


def image(value: str) -> str:
    """Accept a container image's full reference: registry, repository, perhaps a tag, and digest.

    Source: distribution/reference, the grammar in its package documentation.
    """
    name, at, digest = value.partition("@")
    if not _IMAGE_NAME.fullmatch(name):
        raise ValueError(f"is not an image with its registry. {_IMAGE_EXAMPLE}")
    if not at:
        raise ValueError(f"has no digest, and a tag may be moved. {_IMAGE_EXAMPLE}")
    if not _IMAGE_DIGEST.fullmatch(digest):
        raise ValueError(f"has a damaged digest: sha256: and 64 hex digits, lower case. {_IMAGE_EXAMPLE}")
    return value


def no_repeats(values: tuple[_T, ...]) -> tuple[_T, ...]:
    """Refuse a list with the same item twice."""
    for position, value in enumerate(values):
        if value in values[:position]:
            raise ValueError(f"names {value} twice. Write it once.")
    return values


def some_without_repeats(values: tuple[_T, ...]) -> tuple[_T, ...]:
    """Refuse an empty list, too."""
    if not values:
        raise ValueError("is empty. Write at least one.")
    return no_repeats(values)


def ssh_public_key(value: str) -> str:
    """Accept one line of an OpenSSH public key file, and return it without space around it."""
    advice = "Write the line in the CA's .pub file, e.g. ssh-ed25519 AAAA… people@example.com."
    if "PRIVATE KEY" in value:
        raise ValueError(f"is a private key, which must leave this file, and be replaced. {advice}")
    line = value.strip()
    kind, _, rest = line.partition(" ")
    encoded = rest.split(" ", 1)[0]
    if "\n" in line or kind not in SSH_KEY_TYPES:
        raise ValueError(f"is not an SSH public key. {advice}")
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        blob = b""
    # the first field in the key repeats the type, and no key is shorter than 32 bytes: a damaged key fails here
    head = len(kind).to_bytes(4) + kind.encode()
    if not blob.startswith(head) or len(blob) < len(head) + 32:
        raise ValueError(f"is an SSH public key that was damaged or cut short. {advice}")
    return line
