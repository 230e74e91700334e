"""The world of a play: droplets without hosts, what runs on them, and a record of all that happens to them.

It is both sides of what the program touches: the machines behind the local cloud's API, and the far end of the command
stand-in. So one record has droplets and steps, in one order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field

from lab.interfaces import Firewall, Machine, Power
from lab.tests.cloud.memory import MemoryMachines
from tests.plays import texts
from tests.plays.toy_etcd import Cluster, Clusters, Data
from tests.plays.wire import RefusedError, Step

PATIENCE = 5.0
"""Seconds that a step waits for what another one may be doing at the same time."""


@dataclass
class Host:
    """One droplet: its disk, and what runs on it."""

    id: int
    name: str
    """The host's name in the program, e.g. `etcd-0`."""
    public: str
    private: str
    on: bool = True
    identified: bool = False
    """True once it shows the host key of the program."""
    host_key: str = ""
    door: bool = True
    """True as long as the bootstrap port is open."""
    ready: bool = False
    """True once the `host` step has passed."""
    files: dict[str, str] = field(default_factory=dict)
    """Path → digest of its content."""
    installed: set[str] = field(default_factory=set)
    """Folders of programs, and links to programs."""
    applied: dict[str, str] = field(default_factory=dict)
    """Unit → digest of the files that it runs with."""
    members: list[str] = field(default_factory=list)
    """Members that etcdctl asks on this host."""
    etcd_urls: list[str] = field(default_factory=list)
    """Members that its API server asks."""
    api_cluster: int | None = None
    """The etcd cluster that its API server has its objects from."""
    data: Data | None = None
    healthy_once: bool = False
    """True once its member was healthy."""

    def runs(self, unit: str) -> bool:
        return self.on and unit in self.applied

    def write(self, step: Step) -> str:
        """Write a step's files, and return the digests of those that its unit depends on.

        Raises RefusedError if the unit's program is not on the host.
        """
        for folder in texts.STARTED.findall(step.text):
            if folder not in self.installed:
                raise RefusedError(f"{self.name}: {folder} is not installed")
        self.files |= {**texts.written(step.text), **step.files}
        return " ".join(f"{path}={self.files.get(path, '')}" for path in texts.depends_on(step.text))


@dataclass
class Node:
    """A Node object of the API."""

    droplet: str
    labelled: bool = False


@dataclass
class State:
    """Everything in the world that a copy of it needs."""

    hosts: dict[int, Host] = field(default_factory=dict)
    clusters: Clusters = field(default_factory=Clusters)
    nodes: dict[str, Node] = field(default_factory=dict)
    objects: dict[str, str] = field(default_factory=dict)
    """Set of objects in the API → digest of the manifests."""
    api_name: str = ""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A line of the record: what happened, and how the cluster was right after it."""

    number: int
    act: str
    """create, update or delete for a step; made, gone, off, on or renamed for a droplet."""
    name: str
    """The step's resource, or the droplet's host."""
    host: str
    """Where it ran."""
    droplet: int
    text: str = ""
    refused: str = ""
    """Why it failed."""
    restarted: bool = False
    voters: tuple[str, ...] = ()
    """Members of the etcd cluster that have a vote, by name."""
    members: tuple[str, ...] = ()
    live: tuple[str, ...] = ()
    """Voters that are up."""
    clusters: int = 0
    """Number of etcd clusters that were ever founded."""
    api_servers: tuple[str, ...] = ()
    """Hosts whose API server answers."""
    dead_addresses: tuple[str, ...] = ()
    """Addresses of the API's name behind which no API server answers."""
    lost: int = 0
    """Acknowledged writes that are on no disk any more."""
    is_member: bool = False
    """True if the droplet's member is in the cluster."""
    is_node: bool = False
    """True if the API has a node of the droplet."""
    accident: bool = False
    """True for what the play does to a droplet, and not the program."""

    @property
    def has_quorum(self) -> bool:
        return len(self.live) >= len(self.voters) // 2 + 1

    def __str__(self) -> str:
        where = f" on {self.host}" if not self.name.startswith(self.host) else ""
        return f"{self.number} {self.act} {self.name}{where}{': ' + self.refused if self.refused else ''}"


@dataclass(frozen=True)
class Interruption:
    """The step that fails: the n-th from now, before it has done anything or after it has done all."""

    step: int
    after: bool


class World(MemoryMachines):
    """See above. Its public methods may be called from any thread."""

    def __init__(self, meaning: Callable[[World, Host, Step], bool]) -> None:
        """Make an empty world; `meaning` runs a step on a host, and tells if a service restarted."""
        super().__init__()
        self._meaning = meaning
        self.state = State()
        self.record: list[Entry] = []
        self.addresses: Callable[[str], list[str]] = lambda _name: []
        """The lab's name server."""
        self.patience = PATIENCE
        self.accident = False
        """True while the play does something to a droplet."""
        self._changed = threading.Condition(threading.RLock())
        self._steps = 0
        self._interruption: Interruption | None = None

    # Copies.

    def copy(self) -> State:
        with self._changed:
            return deepcopy(self.state)

    def restore(self, state: State) -> None:
        with self._changed:
            self.state = deepcopy(state)
            self.record.clear()

    # Failures.

    @contextmanager
    def interrupted(self, interruption: Interruption | None) -> Iterator[None]:
        """Let one step fail, within the block."""
        self._steps, self._interruption = 0, interruption
        try:
            yield
        finally:
            self._interruption = None

    @property
    def steps(self) -> int:
        """Number of steps since the last `interrupted`."""
        return self._steps

    # The machines behind the cloud's API.

    def create(self, machine: Machine) -> None:
        self._enter("create", machine.id)
        with self._changed:
            private = str(machine.private.ip) if machine.private else ""
            name = machine.name.partition(".")[0]
            self.state.hosts[machine.id] = Host(machine.id, name, str(machine.public.ip), private)
            self._note("made", name, self.state.hosts[machine.id])

    def update(self, machine: Machine) -> None:
        self._enter("update", machine.id)
        with self._changed:
            host = self.state.hosts[machine.id]
            if (name := machine.name.partition(".")[0]) != host.name:
                host.name = name
                self._note("renamed", name, host)

    def power_on(self, machine_id: int) -> None:
        self._enter("power_on", machine_id)
        self._switch(machine_id, "on")

    def power_off(self, machine_id: int) -> None:
        self._enter("power_off", machine_id)
        self._switch(machine_id, "off")

    def shutdown(self, machine_id: int) -> None:
        self._enter("shutdown", machine_id)
        self._switch(machine_id, "off")

    def reboot(self, machine_id: int) -> None:
        self._enter("reboot", machine_id)
        self._switch(machine_id, "off")
        self._switch(machine_id, "on")

    def destroy(self, machine_id: int) -> None:
        self._enter("destroy", machine_id)
        with self._changed:
            host = self.state.hosts.pop(machine_id, None)
            if host is not None:
                self._note("gone", host.name, host)

    def power(self, machine_id: int) -> Power:
        host = self.state.hosts.get(machine_id)
        return Power.ON if host is not None and host.on else Power.OFF

    def set_firewalls(self, firewalls: dict[int, Firewall | None]) -> None:
        """Do nothing: no packet passes here."""

    def _switch(self, machine_id: int, way: str) -> None:
        with self._changed:
            host = self.state.hosts[machine_id]
            if host.on != (way == "on"):
                host.on = way == "on"
                self._note(way, host.name, host)

    # The far end of the command stand-in.

    def run(self, step: Step) -> str:
        """Run a step; raises RefusedError where the real one would fail."""
        with self._changed:
            self._steps += 1
            host, refused, restarted = self._dial(step), "", False
            try:
                restarted = self._run(host, step)
            except RefusedError as error:
                refused = str(error)
                raise
            finally:
                self._note(step.act, step.name, host, text=step.text, refused=refused, restarted=restarted)
        return ""

    def _run(self, host: Host | None, step: Step) -> bool:
        stop = self._interruption if self._interruption and self._interruption.step == self._steps else None
        if host is None:
            raise RefusedError(f"dial tcp {step.host}:22: no droplet with this address answers")
        if stop and not stop.after:
            raise RefusedError(f"the play interrupts {step.name} ({step.act}) before it does anything")
        restarted = self._meaning(self, host, step)
        self._acknowledge_a_write()
        if stop:
            raise RefusedError(f"the play interrupts {step.name} ({step.act}) after it has done all")
        return restarted

    def _dial(self, step: Step) -> Host | None:
        addresses = self.addresses(step.host) or [step.host]
        return next((host for host in self.state.hosts.values() if host.public in addresses and host.on), None)

    def wait_until(self, ready: Callable[[], bool], what: str) -> None:
        """Wait for what another step may be doing; a step fails as it would on its host."""
        if not self._changed.wait_for(ready, self.patience):
            raise RefusedError(f"timed out waiting for {what}")

    def changed(self) -> None:
        """Let those look again who wait."""
        self._changed.notify_all()

    # What is up.

    def at(self, url: str) -> Host | None:
        """Find the running host that a URL with a private name leads to."""
        addresses = self.addresses(url.rsplit("//", maxsplit=1)[-1].partition(":")[0])
        return next((host for host in self.state.hosts.values() if host.private in addresses and host.on), None)

    def member_up(self, cluster: Cluster, member_id: int) -> Host | None:
        """Find the host on which a member runs."""
        for host in self.state.hosts.values():
            data = host.data
            if host.runs("etcd") and data and (data.cluster, data.member) == (cluster.number, member_id):
                return host
        return None

    def live(self, cluster: Cluster) -> list[str]:
        """Names of the voters that are up."""
        return [member.name for member in cluster.voters if self.member_up(cluster, member.id)]

    def has_quorum(self, cluster: Cluster) -> bool:
        return len(self.live(cluster)) >= cluster.quorum

    def cluster_on(self, host: Host | None) -> Cluster | None:
        """Return the cluster whose member runs on a host, if that has a vote and the cluster a quorum."""
        if host is None or not host.runs("etcd") or host.data is None:
            return None
        cluster = self.state.clusters.founded[host.data.cluster]
        member = cluster.member(host.data.member)
        return cluster if member and not member.learner and self.has_quorum(cluster) else None

    def answering(self, urls: list[str]) -> Cluster | None:
        """Return the cluster that answers at one of these URLs."""
        return next((found for url in urls if (found := self.cluster_on(self.at(url)))), None)

    def api_on(self, host: Host) -> bool:
        """True if the API server on a host answers."""
        return host.runs("kube-apiserver") and self.answering(host.etcd_urls) is not None

    # The record.

    def _acknowledge_a_write(self) -> None:
        """Write to each cluster that takes it, as a client of the API does all the time."""
        for cluster in self.state.clusters.founded:
            if self.has_quorum(cluster):
                cluster.formed = True
                cluster.writes += 1
                for member in cluster.members:
                    host = self.member_up(cluster, member.id)
                    if host and host.data:
                        host.data.writes = cluster.writes

    def _note(
        self, act: str, name: str, host: Host | None, *, text: str = "", refused: str = "", restarted: bool = False
    ) -> None:
        state = self.state
        first = next(iter(state.clusters.founded), None)
        answering = [each for each in state.hosts.values() if self.api_on(each)]
        private = {each.private for each in answering}
        api = self.addresses(state.api_name) if state.api_name else []
        data = host.data if host else None
        self.record.append(
            Entry(
                number=len(self.record) + 1,
                act=act,
                name=name,
                host=host.name if host else "",
                droplet=host.id if host else 0,
                text=text,
                refused=refused,
                restarted=restarted,
                voters=tuple(member.name for member in first.voters) if first else (),
                members=tuple(member.name for member in first.members) if first else (),
                live=tuple(self.live(first)) if first else (),
                clusters=len(state.clusters.founded),
                api_servers=tuple(each.name for each in answering),
                dead_addresses=tuple(address for address in api if address not in private),
                lost=sum(self._lost(cluster) for cluster in state.clusters.founded),
                is_member=bool(data and state.clusters.founded[data.cluster].member(data.member)),
                is_node=bool(host and any(node.droplet == str(host.id) for node in state.nodes.values())),
                accident=self.accident,
            )
        )
        self._changed.notify_all()

    def _lost(self, cluster: Cluster) -> int:
        logs = [host.data for host in self.state.hosts.values() if host.data and host.data.cluster == cluster.number]
        kept = [data.writes for data in logs if cluster.member(data.member)]
        return cluster.writes - max(kept, default=0)
