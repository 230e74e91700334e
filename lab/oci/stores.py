"""The three stores of the lab's registry, one for each source of images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.oci.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Stores:
    """The stores in a mirror's directory; hidden, because they are not downloads."""

    built: Store
    """Images that the cluster and its tests need, made by the lab."""
    loaded: Store
    """The user's own images."""
    pulled: Store
    """Cache of other registries' answers."""

    @classmethod
    def of(cls, mirror: Path) -> Stores:
        """Name the stores of a mirror's directory; none of them needs to exist."""
        return cls(built=Store(mirror / ".images"), loaded=Store(mirror / ".loaded"), pulled=Store(mirror / ".pulled"))
