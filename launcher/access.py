"""Access to the hosts for people: an SSH CA that the hosts trust, and short-lived certificates from it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from launcher import files
from launcher.errors import LauncherError, MistakeError
from launcher.workspace import Workspace

LOGIN = "root"
"""The account on a host, and the principal in the certificate."""

VALIDITY = "-5m:+12h"
"""Validity of each SSH certificate; every command makes a new one."""

HostOutput = Mapping[str, Any]


def _ssh_keygen(*arguments: str) -> None:
    done = subprocess.run(
        ["ssh-keygen", "-q", *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise LauncherError(f"ssh-keygen failed: {done.stderr.strip()}")


def _key_pair(workspace: Workspace, name: str) -> None:
    path = workspace.ssh / name
    if path.exists() and path.with_name(f"{name}.pub").exists():
        return
    workspace.ssh.mkdir(mode=0o700, exist_ok=True)
    path.unlink(missing_ok=True)
    _ssh_keygen("-t", "ed25519", "-N", "", "-C", f"triplane {name}", "-f", str(path))


def ca_public_key(workspace: Workspace) -> str:
    """Return the public half of the CA, made on first use."""
    _key_pair(workspace, "ca")
    kind, key, *_ = (workspace.ssh / "ca.pub").read_text().split()
    return f"{kind} {key}"


def host_named(nodes: Sequence[HostOutput], name: str) -> HostOutput:
    """Find a node by its short or full name."""
    for node in nodes:
        if name in {node["name"], node["fqdn"]} or node["name"].split(".")[0] == name:
            return node
    raise MistakeError(f"there is no host {name!r}; hosts: {', '.join(node['name'] for node in nodes)}")


def certify(workspace: Workspace) -> None:
    """Give the operator's key a new certificate; a file that another command is reading stays complete."""
    _key_pair(workspace, "ca")
    _key_pair(workspace, "operator")
    with TemporaryDirectory(dir=workspace.ssh) as folder:
        public = Path(shutil.copy(workspace.ssh / "operator.pub", folder))
        _ssh_keygen(
            "-s", str(workspace.ssh / "ca"), "-I", "triplane-operator", "-n", LOGIN, "-V", VALIDITY, str(public)
        )
        certificate = public.with_name("operator-cert.pub")
        certificate.replace(workspace.ssh / certificate.name)


def ssh_command(
    workspace: Workspace, outputs: Mapping[str, Any], node: HostOutput, command: Sequence[str], *, batch: bool = False
) -> list[str]:
    """Compose the command line that logs in to a node, or runs `command` there as the given words.

    It connects to the address and checks the host key under the name, so it works without DNS.
    """
    operator = workspace.ssh / "operator"
    known_hosts = workspace.ssh / "known_hosts"
    files.write(known_hosts, str(outputs["knownHosts"]).rstrip() + "\n")
    options = {
        "CertificateFile": f"{operator}-cert.pub",
        "ConnectTimeout": "10",
        "HostKeyAlias": node["fqdn"],
        "IdentitiesOnly": "yes",
        "LogLevel": "ERROR",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(known_hosts),
    } | ({"BatchMode": "yes"} if batch else {})
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    # ssh joins words with spaces and passes them to a shell: quoting keeps them as they were given. A single word is
    # a shell's command line, as with ssh itself.
    remote = list(command) if len(command) == 1 else [shlex.quote(word) for word in command]
    return ["ssh", "-F", "none", "-i", str(operator), *words, f"{LOGIN}@{node['publicAddress']}", *remote]
