"""Texts under assets/: templates for units and shell, and the step library."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

ASSETS = Path(__file__).resolve().parent.parent / "assets"

# Shell and units, never HTML: escaping would corrupt them.
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(ASSETS),
    undefined=StrictUndefined,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701 - scripts and units, not HTML
)


def render(template: str, /, **values: object) -> str:
    """Fill in a template; a missing value is an error."""
    return _ENVIRONMENT.get_template(template).render(**values)


def read(name: str) -> str:
    """Text of a file, unchanged."""
    return (ASSETS / name).read_text()
