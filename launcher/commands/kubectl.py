"""`./triplane kubectl`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from launcher.context import Context, become
from launcher.live import cluster, kubectl_command


def kubectl(context: Context, arguments: Sequence[str]) -> NoReturn:
    """Replace this process with kubectl."""
    cluster(context)
    become([*kubectl_command(context), *arguments])
