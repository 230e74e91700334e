"""`./triplane pulumi`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

from launcher.apply import CHANGING, READING, ready
from launcher.context import Context
from launcher.stacks import stack_meant

ACTING = frozenset({"up", "update", "destroy", "down", "dn", "refresh", "import", "watch"})
"""The engine's commands that act on hosts: they need the whole lab."""

OFFLINE = frozenset({"version", "help", "gen-completion", "about", "plugin", "schema", "package", "whoami", "login"})
"""The engine's commands that need no stack."""


def pulumi(context: Context, arguments: Sequence[str]) -> NoReturn:
    """Prepare everything that the engine's command needs, and replace this process with the engine."""
    workspace = context.workspace
    stack = stack_meant(arguments, os.environ.get("PULUMI_STACK") or workspace.stack)
    verb = next((word for word in arguments if not word.startswith("-")), "help")
    with workspace.locked(context.report):
        if verb in OFFLINE or "--help" in arguments or "-h" in arguments:
            engine = context.preparation.engine()
        else:
            engine = ready(context, stack, CHANGING if verb in ACTING else READING)
    engine.become(arguments)
