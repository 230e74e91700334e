"""Checks of the machine that runs Pulumi, before anything is made."""

from __future__ import annotations

import socket
from collections.abc import Mapping

import pulumi

AGENT = "SSH_AUTH_SOCK"


def check(environment: Mapping[str, str]) -> None:
    """Refuse an SSH agent that does not answer.

    The command plugin connects to the agent before it connects to a host, although it has a key. If that fails, each
    step fails at once (pulumi-command 1.2, provider/pkg/provider/remote/connection.go). Raises pulumi.RunError.
    """
    path = environment.get(AGENT)
    if not path:
        return
    with socket.socket(socket.AF_UNIX) as agent:
        agent.settimeout(5)
        try:
            agent.connect(path)
        except OSError as error:
            msg = (
                f"{AGENT} names an SSH agent that does not answer ({path}: {error.strerror or error}), so every step "
                f"would fail. Nothing was changed. Run the same again without it: env -u {AGENT} pulumi …"
            )
            raise pulumi.RunError(msg) from None
