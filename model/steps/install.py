"""Release files on a host: downloaded, checked, and installed beside their other versions."""

from __future__ import annotations

from collections.abc import Iterable

from model.releases import Download
from model.steps import step


def script(*, name: str, directory: str, downloads: Iterable[Download], links: Iterable[str] = ()) -> str:
    """Install into `directory`; `links` are programs that an operator finds on PATH."""
    return step("install", step=f"install-{name}", directory=directory, downloads=tuple(downloads), links=tuple(links))
