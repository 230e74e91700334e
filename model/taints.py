"""Taints of nodes: they keep away pods that do not tolerate them (Kubernetes, "Taints and Tolerations")."""

from __future__ import annotations

from dataclasses import dataclass

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


@dataclass(frozen=True, kw_only=True, slots=True)
class Taint:
    """A taint with the API's fields; `value` may be empty."""

    key: str
    value: str = ""
    effect: str

    def __str__(self) -> str:
        """Return it as kubectl writes it."""
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"
