"""Phases that prepare a run of the engine, in their order."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from launcher import lab_daemon, plugin_choice, repair
from launcher.context import Context
from launcher.engine import Engine
from launcher.preparation import official_plugins


@dataclass(kw_only=True)
class Run:
    """One run of the engine on a stack, while it is prepared."""

    context: Context
    stack: str
    placed: Engine | None = None

    @property
    def engine(self) -> Engine:
        """The engine, once `place_engine` has run."""
        assert self.placed is not None, "place_engine comes first"
        return self.placed


Phase = Callable[[Run], None]


def settle_plugins(run: Run) -> None:
    """Refuse plugins that differ from the state's, before anything is built."""
    plugin_choice.settle(run.context.workspace, os.environ, official_plugins(os.environ))


def prepare_machine(run: Run) -> None:
    """Provide the releases, the mirror, and the images of hosts and pods."""
    run.context.preparation.everything(run.stack)


def start_lab(run: Run) -> None:
    """Start the lab, with the hosts that should be on."""
    lab_daemon.start(run.context.workspace, run.context.report)


def place_engine(run: Run) -> None:
    """Provide the engine and its plugins, in a place where the lab's names resolve."""
    run.placed = run.context.preparation.engine(resolving=True)


def make_stack(run: Run) -> None:
    """Provide the stack, with its files and the lab's tokens."""
    run.context.preparation.stack(run.engine, run.stack)


def wait_for_other_engines(run: Run) -> None:
    """Wait until no living engine works on the stack; clear what dead ones left of it."""
    wait_for_engine(run.context, run.stack)


def finish_interrupted(run: Run) -> None:
    """Settle what an interrupted run left undecided."""
    workspace = run.context.workspace
    cloud = repair.Cloud(workspace.lab.api_url, lab_daemon.tokens(workspace))
    repair.finish_interrupted(run.engine, run.stack, cloud)


READING: Sequence[Phase] = (start_lab, place_engine, make_stack)
"""Phases for commands that only ask the lab's cloud."""
DESTROYING: Sequence[Phase] = (*READING, finish_interrupted)
CHANGING: Sequence[Phase] = (
    settle_plugins,
    prepare_machine,
    *READING,
    wait_for_other_engines,
    finish_interrupted,
)
"""Phases for commands that act on hosts: they need the whole lab."""


def ready(context: Context, stack: str, phases: Sequence[Phase] = CHANGING) -> Engine:
    """Run the phases, and return the engine."""
    run = Run(context=context, stack=stack)
    for phase in phases:
        phase(run)
    return run.engine


def wait_for_engine(context: Context, stack: str) -> None:
    """Wait until no living engine works on the stack; clear what dead ones left of it."""
    told = False
    while held := repair.clear_stale_locks(context.workspace, stack):
        if not told:
            context.report.say(f"waiting for pulumi (process {held[0].pid}), which is at work on stack {stack}")
            told = True
        time.sleep(0.2)
