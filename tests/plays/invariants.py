"""Rules that hold in every play, told from the record of one `up`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from tests.plays.world import Entry

Rule = Callable[[Sequence[Entry], frozenset[str]], Iterator[str]]
"""Takes the record, and the names of the members that the settings want; gives what is wrong."""


def founded_once(record: Sequence[Entry], _wanted: frozenset[str]) -> Iterator[str]:
    """Etcd is founded at most once."""
    for entry in record:
        if entry.clusters > 1:
            yield f"{entry}: etcd is founded {entry.clusters} times"
            return


def nothing_lost(record: Sequence[Entry], _wanted: frozenset[str]) -> Iterator[str]:
    """Each acknowledged write stands on the disk of some member."""
    for entry in record:
        if entry.lost:
            yield f"{entry}: {entry.lost} acknowledged writes are on no disk any more"
            return


def quorum_kept(record: Sequence[Entry], _wanted: frozenset[str]) -> Iterator[str]:
    """A cluster of three voters or more keeps its quorum."""
    for before, entry in pairwise(record):
        if len(entry.voters) >= 3 and before.has_quorum and not entry.has_quorum and not entry.accident:
            yield f"{entry}: {len(entry.live)} of {len(entry.voters)} voters are up"


def one_absent(record: Sequence[Entry], wanted: frozenset[str]) -> Iterator[str]:
    """Of three members or more that stay, no two are without their droplets at the same time."""
    absent: set[str] = set()
    for entry in record:
        absent -= set(entry.live)
        if entry.act == "gone" and entry.name in wanted:
            absent.add(entry.name)
        if len(absent) > 1 and len(wanted) >= 3:
            yield f"{entry}: {', '.join(sorted(absent))} are absent at the same time"
            return


def leaves_first(record: Sequence[Entry], _wanted: frozenset[str]) -> Iterator[str]:
    """A member is out of the cluster, or was let go, before its droplet is deleted."""
    let_go: set[str] = set()
    for entry in record:
        if entry.name.endswith("-etcd-leave") and entry.act == "delete" and not entry.refused:
            let_go.add(entry.name.removesuffix("-etcd-leave"))
        if entry.act == "gone":
            if entry.is_member and entry.name not in let_go and not entry.accident:
                yield f"{entry}: it is still a member, and nobody let it go"
            let_go.discard(entry.name)


def drained_first(record: Sequence[Entry], _wanted: frozenset[str]) -> Iterator[str]:
    """A node is taken out of the API before its droplet is deleted."""
    for entry in record:
        if entry.act == "gone" and entry.is_node and not entry.accident:
            yield f"{entry}: the API still has its node"


def one_at_a_time(record: Sequence[Entry], wanted: frozenset[str]) -> Iterator[str]:
    """While a member's droplet is gone and its next gate has not passed, nothing else of the control plane changes."""
    missing: Entry | None = None
    for entry in record:
        if missing and entry.name == f"{missing.name}-etcd" and not entry.refused:
            missing = None
        changes = entry.act == "gone" or (entry.restarted and entry.name.endswith(("-etcd", "-kube-apiserver")))
        if missing and changes and missing.name != entry.host:
            yield f"{entry}: {missing.name}, whose droplet is gone, is not back"
            return
        if entry.act == "gone" and entry.name in wanted:
            missing = entry


def api_up(record: Sequence[Entry], _wanted: frozenset[str]) -> Iterator[str]:
    """Once an API server has answered, there is always one that does."""
    for before, entry in pairwise(record):
        if before.api_servers and not entry.api_servers and not entry.accident:
            yield f"{entry}: no API server answers"


RULES: Sequence[Rule] = (
    founded_once,
    nothing_lost,
    quorum_kept,
    one_absent,
    leaves_first,
    drained_first,
    one_at_a_time,
    api_up,
)


def broken(record: Sequence[Entry], wanted: frozenset[str], *, but: frozenset[str] = frozenset()) -> list[str]:
    """List what is wrong, by rule; `but` names rules that a play does not keep."""
    return [f"{rule.__name__}: {wrong}" for rule in RULES if rule.__name__ not in but for wrong in rule(record, wanted)]
