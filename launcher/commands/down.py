"""`./triplane down`."""

from __future__ import annotations

import toolchain
from launcher import lab_daemon, stacks
from launcher.apply import DESTROYING, ready, wait_for_engine
from launcher.context import Context
from launcher.errors import InterruptedByUserError, LauncherError
from launcher.workspace import Workspace


def down(context: Context) -> None:
    """Remove everything: the engine destroys what it knows, and then the lab is removed with everything in it."""
    workspace = context.workspace
    with workspace.locked(context.report):
        for stack in stacks.recorded(workspace):
            _refuse_if_protected(workspace, stack)
        for stack in stacks.recorded(workspace):
            wait_for_engine(context, stack)
            if stacks.checkpoint(workspace, stack).get("resources"):
                _destroy(context, stack)
            stacks.forget(workspace, stack)
        lab_daemon.remove(workspace, context.report)
    context.report.say("all is down; ./triplane up raises it again")


def _refuse_if_protected(workspace: Workspace, stack: str) -> None:
    resources = stacks.checkpoint(workspace, stack).get("resources") or []
    kept = [resource["urn"].rpartition("::")[2] for resource in resources if resource.get("protect")]
    if kept:
        raise LauncherError(
            f"the stack {stack} is protected by triplane:protect ({kept[0]} and {len(kept) - 1} more), and nothing was "
            f"removed; to remove it for good, write triplane:protect: false in Pulumi.{stack}.yaml, ./triplane up, and "
            "then ./triplane down"
        )


def _destroy(context: Context, stack: str) -> None:
    try:
        engine = ready(context, stack, DESTROYING)
        outcome = engine.run("destroy", "--yes", "--skip-preview", "--stack", stack)
        problem = "" if outcome.code == 0 else f"pulumi destroy ended with exit code {outcome.code}"
    except (LauncherError, toolchain.ToolchainError) as error:
        outcome, problem = None, str(error)
    if outcome is not None and outcome.stopped:
        raise InterruptedByUserError("stopped; ./triplane down goes on from here")
    if problem:
        # All resources of the stack are in this lab, and the lab is removed next: nothing can stay in any cloud.
        context.report.warn(f"{problem}; its resources go with the lab")
