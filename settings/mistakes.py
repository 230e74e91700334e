"""Error messages for settings: name, value, problem, and what to write instead."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

_LONGEST_VALUE = 80


@dataclass(frozen=True, kw_only=True, slots=True)
class Mistake:
    """One wrong setting. `problem` continues the setting's name: "is …. Write …"."""

    setting: str
    problem: str
    value: object = None
    """Value, shown as it was written; None shows nothing: the value is missing, or may be a secret."""

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.setting}{'' if self.value is None else f' = {_shown(self.value)}'} {self.problem}"


class SettingsError(Exception):
    """The stack's configuration is wrong; the message has a line for every mistake."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        noun = "a mistake" if len(self.mistakes) == 1 else f"{len(self.mistakes)} mistakes"
        lines = "".join(f"\n  - {mistake}" for mistake in self.mistakes)
        super().__init__(f"The stack's settings have {noun}; nothing was created or changed:{lines}")


def one_of(choices: Iterable[str]) -> str:
    """Write the choices as the end of a sentence: `a, b or c`."""
    *most, last = choices
    return f"{', '.join(most)} or {last}" if most else last


def write_one_of(value: str, choices: Iterable[str], *, what: str = "") -> str:
    """Say what to write instead of an unknown `value`: the closest choice, if one is close, and all choices."""
    known = list(choices)
    everything = f"Write {what}{' ' if what else ''}{one_of(known)}."
    close = get_close_matches(value, known, n=1)
    return f"Did you mean {close[0]}? {everything}" if close else everything


def _shown(value: object) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    if not text.isprintable():
        text = json.dumps(value, default=str)  # a terminal would obey control characters in it
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"
