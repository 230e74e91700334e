"""Errors of builds and downloads, written for the user."""

from __future__ import annotations

import re

_DISK = r"no space left on device|disk quota exceeded"
_CHECKSUM = r"checksum mismatch|security error"
_NETWORK = (
    r"dial tcp|no such host|connection (refused|reset)|i/o timeout|tls handshake|timed? ?out|temporary failure|"
    r"network is unreachable|\b(403|404|410|429|5\d\d) [A-Z]|unexpected EOF"
)
_COMPILER = (
    r'exec: "(gcc|cc|g\+\+|pkg-config)"|C compiler .* not found|cannot find -l(c|pthread|seccomp)\b|'
    r"stdlib\.h: No such|Package libseccomp was not found"
)
_MEMORY = r"signal: killed|cannot allocate memory|out of memory"

_REMEDIES = {
    _DISK: "The disk is full: free about 10 GB (`go clean -cache -modcache` empties Go's caches) and run it again; "
    "what was compiled so far is kept.",
    _CHECKSUM: "A module is not what go.sum pins, and is not used. If a proxy is set (`go env GOPROXY`), check it.",
    _NETWORK: "The Go module registry did not deliver: check this machine's network and `go env GOPROXY`, and run it "
    "again; modules that arrived are kept.",
    _COMPILER: "It needs a C compiler with static libraries: `apt-get install gcc libc6-dev libseccomp-dev pkgconf`, "
    "and run it again.",
    _MEMORY: "The machine ran out of memory: a build takes up to 4 GB; close something and run it again.",
}
"""The Go tool's message → advice; the first match counts."""

_UNKNOWN = "Run it again; if it stays, the lines above say what the Go tool makes of it."
_TAIL = 12


class ToolchainError(Exception):
    """A program could not be made; the message has its name, the step, the last output, and advice."""


class ReleaseError(ToolchainError):
    """Upstream's release cannot be used; the message has the reason in one line, with the address."""


class UnreachableError(ReleaseError):
    """The server does not answer, or stops sending: its other files would take the same wait."""


class DigestError(ReleaseError):
    """A server sent a file that is not the pinned one."""


def failure(what: str, step: str, output: list[str]) -> ToolchainError:
    """Make the error for a tool that failed: its last lines, and the advice for them."""
    said = [line for line in output if line.strip() and not line.startswith("# get ")]
    text = "\n".join(said)
    remedy = next(
        (remedy for said_so, remedy in _REMEDIES.items() if re.search(said_so, text, re.IGNORECASE)), _UNKNOWN
    )
    tail = "\n".join(f"    {line}" for line in said[-_TAIL:]) or "    (it said nothing)"
    return ToolchainError(f"{what}: {step} failed.\n{tail}\n{remedy}")
