"""`python -m toolchain`: make programs by hand, and print their directories."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from toolchain import PROGRAMS, Progress, Step, ToolchainError, build_all, engine, release_catalog
from toolchain.builder import DEFAULTS
from toolchain.upstream import BUILD_VARIABLE, FETCH_VARIABLE, Upstream

ENGINE = ("pulumi", "pulumi-language-python")


class _Display:
    """A line per program, with its step, and a bar if there is something to count."""

    def __init__(self, console: Console) -> None:
        self.bars = Bars(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
        )
        self._tasks: dict[str, TaskID] = {}

    def show(self, progress: Progress) -> None:
        if progress.step in {Step.NO_RELEASE, Step.WRONG_RELEASE}:
            self.bars.console.print(str(progress), markup=False, highlight=False, soft_wrap=True)
            return
        name = f"{progress.program} {progress.version}"
        if name not in self._tasks:
            self._tasks[name] = self.bars.add_task(name)
        done, total = (1, 1) if progress.step is Step.READY else (progress.done, progress.total or None)
        self.bars.update(self._tasks[name], description=f"{name}: {progress.step}", completed=done, total=total)


def main(
    program: Annotated[
        str | None, typer.Option(help="One of " + ", ".join(PROGRAMS) + "; without it what an up needs.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="One that is pinned; the default without it.")] = None,
    *,
    fetch: Annotated[
        bool, typer.Option("--fetch", help=f"Like {FETCH_VARIABLE}=1: upstream's release or an error.")
    ] = False,
    source: Annotated[bool, typer.Option("--build", help=f"Like {BUILD_VARIABLE}=1: ask no release server.")] = False,
) -> None:
    """Make the programs that the cache lacks, and print the directory of each program's binaries.

    Without an option, upstream's release is used if its server answers; otherwise the program is built.
    """
    console = Console(stderr=True)
    display = _Display(console)
    try:
        asked = {FETCH_VARIABLE: "1"} if fetch else {}
        asked |= {BUILD_VARIABLE: "1"} if source else {}
        upstream = Upstream.from_environment(os.environ | asked)
        wanted = [(program, version)] if program else [one for one in DEFAULTS if one[0] not in ENGINE]
        folders = set()
        with display.bars:
            if not program:  # `engine` chooses the release or the build
                folders |= {file.parent for file in engine(on_progress=display.show, upstream=upstream).values()}
            folders |= {build.directory for build in build_all(wanted, on_progress=display.show, upstream=upstream)}
    except (ToolchainError, release_catalog.CatalogError, OSError) as problem:
        console.print(str(problem), style="red", markup=False)
        raise typer.Exit(1) from None
    for folder in sorted(folders):
        print(folder)


if __name__ == "__main__":
    typer.run(main)
