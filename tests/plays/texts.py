"""Reading of a script's text: variables, files, and the programs that its units start."""

from __future__ import annotations

import re
from hashlib import sha256

from model.files import END_OF_FILE

PUT = re.compile(rf"^put (\S+) \S+ \S+ <<'{END_OF_FILE}'\n(.*?)^{END_OF_FILE}$", re.MULTILINE | re.DOTALL)
PIPED = re.compile(r"\| put (/\S+)")
RESOLVABLE = re.compile(r"^wait_until .* resolvable (.+)$", re.MULTILINE)
FETCHED = re.compile(r"^fetch (\S+) ", re.MULTILINE)
LINKED = re.compile(r"^ln -sfn \S+ (\S+)$", re.MULTILINE)
STARTED = re.compile(r"^ExecStart=(/opt/triplane/\S+)/[^/\s]+", re.MULTILINE)


def step_name(text: str) -> str:
    """Return the name that the script gives itself."""
    found = re.search(r"^step (\S+)", text, re.MULTILINE)
    return found[1] if found else ""


def variable(text: str, name: str) -> str:
    """Read a variable that the script sets; empty if it sets none of this name."""
    found = re.search(rf"^{name}=(.*)$", text, re.MULTILINE)
    return found[1].strip('"') if found else ""


def urls(text: str) -> list[str]:
    """Split a list with commas."""
    return [each for each in text.split(",") if each]


def names(text: str) -> list[str]:
    """List the names for whose addresses the script waits."""
    return [name for names in RESOLVABLE.findall(text) for name in names.split()]


def written(text: str) -> dict[str, str]:
    """Map each file that the script writes to a digest of its content."""
    # A file that the script composes from what it finds has a digest of the whole script.
    composed = dict.fromkeys(PIPED.findall(text), digest(PUT.sub("", text)))
    return composed | {path: digest(content) for path, content in PUT.findall(text)}


def depends_on(text: str) -> list[str]:
    """List the files whose change restarts the script's unit."""
    found = re.search(r"^DEPENDS_ON=\((.*)\)$", text, re.MULTILINE)
    return found[1].split() if found else []


def stopped(text: str) -> list[str]:
    """List the units that the script stops, without their suffixes."""
    lines = re.findall(r"^stop (.+)$", text, re.MULTILINE)
    return [unit.partition(".")[0] for line in lines for unit in line.split()]


def removed(text: str) -> list[str]:
    """List the folders and files that the script deletes."""
    return [path for line in re.findall(r"^remove (.+)$", text, re.MULTILINE) for path in line.split()]


def digest(text: str) -> str:
    """Shorten a text to a mark that changes with it."""
    return sha256(text.encode()).hexdigest()[:16]
