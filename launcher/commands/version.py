"""`./triplane version`."""

from __future__ import annotations

import os

from rich.table import Table

import toolchain
from launcher import plugin_choice
from launcher.context import Context
from launcher.errors import MistakeError
from launcher.preparation import ENGINE, IMAGES, RELEASES, official_plugins
from launcher.report import console


def version(context: Context) -> None:
    """Print the pinned versions, and the replacements that are in use."""
    table = Table(box=None, pad_edge=False)
    for heading in ("PROGRAM", "VERSION", "ORIGIN", "HERE"):
        table.add_column(heading)
    for program in (toolchain.PULUMI_RELEASE, *(toolchain.PROGRAMS[name] for name in (*ENGINE, *RELEASES, *IMAGES))):
        for number in program.versions:
            made = toolchain.cached(program, number)
            here = (made.origin, str(made.directory)) if made else ("", "not here yet")
            table.add_row(program.name, number, *here)
    out = console()
    out.print(table, highlight=False)
    official = official_plugins(os.environ)
    try:
        used = plugin_choice.choose(context.workspace, os.environ, available=official is not None)
        said = f"{used}, in {official}" if used is plugin_choice.Kind.OFFICIAL else str(used)
    except MistakeError as error:
        said = str(error)
    out.print(f"provider plugins: {said}", highlight=False, soft_wrap=True)
