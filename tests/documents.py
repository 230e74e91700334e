"""Reading the project's documents, to hold them against the code."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]


def read(name: str) -> str:
    """A document by its path in the checkout."""
    return (ROOT / name).read_text()


def table(name: str, first_heading: str) -> list[list[str]]:
    """The rows of a document's table whose first column is called this."""
    lines = iter(read(name).splitlines())
    for line in lines:
        if line.startswith(f"| {first_heading} |"):
            next(lines)
            rows = []
            for row in lines:
                if not row.startswith("|"):
                    break
                rows.append([cell.strip() for cell in row.strip("|").split(" | ")])
            return rows
    raise AssertionError(f"{name} has no table with the first column {first_heading!r}")
