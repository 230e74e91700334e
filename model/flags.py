"""Command-line flags as data: those that Triplane sets, and those that an operator adds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

# Suites with forward secrecy and authenticated encryption (CIS 1.2.29); TLS 1.3 has its own, which cannot be set.
TLS_CIPHER_SUITES = (
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,"
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,"
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
)


# Reasons why Triplane owns a flag; each text continues the words "it follows from".
CERTIFICATES = "Triplane's own PKI"
ADDRESSES = "the address plan"
NAMES = "the pools"
PATHS = "the registry of paths"


@dataclass(frozen=True, kw_only=True, slots=True)
class FlagRules:
    """Extra flags of a service that are refused."""

    owned: Mapping[str, str]
    """Flags that every host needs to start again, or that a setting decides: flag → what decides it."""
    removed: Mapping[str, str] = field(default_factory=dict)
    """Flags that no selectable release has any more: flag → an explanation."""
    removed_prefixes: Mapping[str, str] = field(default_factory=dict)
    """The same, by the beginning of the flags' names."""
    read: tuple[str, ...] = ()
    """The only flags that the service reads besides its configuration file; empty if it reads all."""


INSECURE_PORT = "served the API without TLS; there is no such port any more"


def arguments(flags: Mapping[str, str], extra: Mapping[str, str], *, dashes: str = "--") -> tuple[str, ...]:
    """Words `--name=value` for a unit's ExecStart, in order.

    Triplane's values may contain `${NAME}` of an environment file; an operator's values are literal. An operator's flag
    replaces Triplane's flag of the same name.
    """
    merged = {**flags, **{name: _literal(value) for name, value in extra.items()}}
    return tuple(_quoted(f"{dashes}{name}={value}") for name, value in merged.items())


def _literal(value: str) -> str:
    """Escape a value, so that systemd expands nothing in it (systemd.service(5), command lines)."""
    return value.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"')


def _quoted(word: str) -> str:
    return f'"{word}"' if re.search(r"[\s';]|\\", word) else word
