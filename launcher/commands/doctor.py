"""`./triplane doctor`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

from launcher.apply import READING, ready
from launcher.context import Context, become
from launcher.stacks import stack_meant


def doctor(context: Context, arguments: Sequence[str]) -> NoReturn:
    """Replace this process with the doctor; its cloud is the lab, and it gets this machine's address there."""
    from doctor.__main__ import parser

    parser().parse_args(arguments)  # a wrong word is reported before a lab is started
    workspace = context.workspace
    stack = stack_meant(arguments, os.environ.get("PULUMI_STACK") or workspace.stack)
    command = [str(workspace.python), "-m", "doctor", "--cwd", str(workspace.directory)]
    here = ["--stack", stack, "--address", str(workspace.lab.services)]
    with workspace.locked(context.report):
        engine = ready(context, stack, READING)
    context.report.say("the clouds asked are the lab's; on a real account: .venv/bin/python -m doctor --stack prod")
    os.chdir(workspace.checkout)
    become([*command, *here, *arguments], engine.environment(stack))
