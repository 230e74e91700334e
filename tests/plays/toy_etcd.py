"""Toy etcd: members, votes, and which host has which of the acknowledged writes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Member:
    """A line of `etcdctl member list`."""

    id: int
    name: str
    peer_url: str
    client_url: str = ""
    """Empty until it has started."""
    learner: bool = False


@dataclass
class Data:
    """A member's write-ahead log on a host's disk."""

    cluster: int
    member: int
    writes: int = 0
    """Number of the cluster's acknowledged writes in it."""


@dataclass
class Cluster:
    """One etcd cluster; `expected` is the list of members that it was founded from."""

    number: int
    expected: str
    founder: str
    members: list[Member] = field(default_factory=list)
    formed: bool = False
    """True since it had a quorum for the first time."""
    writes: int = 0
    """Acknowledged so far."""
    network: bool = False
    """True if flannel's network is in it."""

    @property
    def voters(self) -> list[Member]:
        return [member for member in self.members if not member.learner]

    @property
    def quorum(self) -> int:
        return len(self.voters) // 2 + 1

    def member(self, id_: int) -> Member | None:
        return next((member for member in self.members if member.id == id_), None)

    def at(self, peer_url: str) -> Member | None:
        return next((member for member in self.members if member.peer_url == peer_url), None)


@dataclass
class Clusters:
    """Every cluster that was ever founded."""

    founded: list[Cluster] = field(default_factory=list)
    _last_id: int = 0

    def found(self, expected: str, founder: str) -> Cluster:
        """Found a cluster, or take part in its founding: members that start from one list are one cluster."""
        for cluster in self.founded:
            if cluster.expected == expected and not cluster.formed:
                return cluster
        cluster = Cluster(number=len(self.founded), expected=expected, founder=founder)
        for each in expected.split(","):
            name, _, peer_url = each.partition("=")
            cluster.members.append(Member(self._id(), name, peer_url))
        self.founded.append(cluster)
        return cluster

    def announce(self, cluster: Cluster, name: str, peer_url: str) -> Member:
        """Do `member add --learner`."""
        member = Member(self._id(), name, peer_url, learner=True)
        cluster.members.append(member)
        return member

    def _id(self) -> int:
        self._last_id += 1
        return self._last_id
