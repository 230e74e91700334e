"""Function of a plugin: a query that creates nothing."""

from __future__ import annotations

from typing import ClassVar

from lab.plugins.resource import Call
from lab.plugins.schema import Fields
from lab.plugins.values import Properties


class Function:
    """One function. Subclasses name its arguments and answer it."""

    token: ClassVar[str]
    inputs: ClassVar[Fields]

    def ask(self, arguments: Properties, call: Call) -> Properties:
        """Answer; the arguments are checked already."""
        raise NotImplementedError
