"""Taints of nodes: what keeps pods away that do not tolerate it (Kubernetes, "Taints and Tolerations")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from model.mistakes import write_one_of

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


@dataclass(frozen=True, kw_only=True, slots=True)
class Taint:
    """A taint as the API has it; `value` may be empty."""

    key: str
    value: str = ""
    effect: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `key=value:Effect` or `key:Effect`, as kubectl writes them.

        Raises ValueError with what is wrong and what to write instead; the key and the value are the caller's to check.
        """
        left, colon, effect = text.rpartition(":")
        key, _, value = left.partition("=")
        if not colon or not key:
            raise ValueError("is no taint. Write key=value:effect or key:effect, e.g. dedicated=gpu:NoSchedule.")
        if effect not in EFFECTS:
            raise ValueError(f"has an unknown effect, {effect}. {write_one_of(effect, EFFECTS)}")
        return cls(key=key, value=value, effect=effect)

    def __str__(self) -> str:
        """Return it as kubectl writes it."""
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"
