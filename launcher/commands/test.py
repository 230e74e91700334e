"""`./triplane test`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from lab.hosts import rootfs
from launcher.context import Context, become


def test(context: Context, arguments: Sequence[str]) -> NoReturn:
    """Replace this process with pytest, so that its summary is the last line and its exit code is the command's."""
    workspace = context.workspace
    chosen = selected(arguments)
    if chosen.needs_hosts:
        with workspace.locked(context.report):
            context.preparation.everything(workspace.stack)
    os.chdir(workspace.checkout)
    become([str(workspace.python), "-m", "pytest", *chosen.arguments])


@dataclass(frozen=True, kw_only=True, slots=True)
class Tests:
    """Selected tests, as pytest's arguments."""

    arguments: tuple[str, ...]
    needs_hosts: bool = True
    """True if the tests need the lab's binaries and image."""


def selected(arguments: Sequence[str]) -> Tests:
    """Read `fast` or `long` from the first word; the other words are for pytest, and override the choice made here.

    Two processes share the work. The end-to-end tests are one group, since they share one cluster.
    """
    both = ("-n", "2")
    match [*arguments]:
        case ["fast", *others]:
            return Tests(arguments=("-m", "not hosts and not engine and not slow", *both, *others), needs_hosts=False)
        case ["long", *others]:
            return Tests(arguments=(*both, *(f"--host-image={slug}" for slug in rootfs.IMAGES), *others))
        case others:
            return Tests(arguments=("-m", "not long", *both, *others))
