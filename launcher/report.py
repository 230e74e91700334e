"""Messages and progress, for a terminal or a log."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

LOG_SECONDS = 20
"""Seconds between progress lines of a task without a terminal."""


LOG_WIDTH = 200
"""Columns of output without a terminal: wide enough that nothing is cut."""


def console(*, stderr: bool = False) -> Console:
    """Make a console for standard output or standard error."""
    found = Console(stderr=stderr)
    return found if found.is_terminal else Console(stderr=stderr, width=LOG_WIDTH)


class Progress:
    """Tasks that run at the same time, each with its latest message; safe to call from any thread.

    It uses rich.live, not rich.progress, which needs as many lines for the same display and cannot write a log.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._tasks: dict[str, tuple[float, str]] = {}
        self._said: dict[str, float] = {}

    def __rich__(self) -> Table:
        """One line per task under way."""
        table = Table.grid(padding=(0, 1))
        now = time.monotonic()
        with self._lock:
            for task, (since, text) in self._tasks.items():
                table.add_row(Text(task, style="bold"), Text(f"{now - since:4.0f} s"), Text(text, overflow="ellipsis"))
        return table

    def update(self, task: str, text: str) -> None:
        """Show `text` as the latest message of `task`."""
        now = time.monotonic()
        with self._lock:
            since, _ = self._tasks.get(task, (now, ""))
            self._tasks[task] = (since, text)
            due = now - self._said.get(task, -LOG_SECONDS) >= LOG_SECONDS
            if due:
                self._said[task] = now
        if due and not self._console.is_terminal:
            self._print(f"  {task}: {text} [{now - since:.0f} s]")

    def done(self, task: str) -> None:
        """Show that `task` has ended well."""
        with self._lock:
            since, _ = self._tasks.pop(task, (time.monotonic(), ""))
            self._said.pop(task, None)
        self._print(f"  {task}: done in {time.monotonic() - since:.0f} s")

    def drop(self, task: str) -> None:
        """Remove `task`, which has ended; another line says how."""
        with self._lock:
            self._tasks.pop(task, None)
            self._said.pop(task, None)

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def shown(self) -> Iterator[Progress]:
        """Show a display that follows the tasks, at a terminal."""
        if not self._console.is_terminal:
            yield self
            return
        with Live(self, console=self._console, refresh_per_second=4, transient=True):
            yield self


class Report:
    """Messages on standard error: standard output is for the command that is run."""

    def __init__(self) -> None:
        self.console = console(stderr=True)

    def say(self, text: str) -> None:
        """Print a line about the current work, or the reason to wait."""
        self.console.print(Text("triplane: ", style="bold") + Text(text), highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Print a line about a problem that does not stop the command."""
        self.console.print(Text("triplane: ", style="bold yellow") + Text(text), highlight=False, soft_wrap=True)

    def progress(self) -> Progress:
        """Progress display for tasks that take minutes."""
        return Progress(self.console)
