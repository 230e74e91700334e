"""What the scripts of etcd's members mean, in the world of a play."""

from __future__ import annotations

from tests.plays.texts import urls, variable
from tests.plays.toy_etcd import Cluster, Data, Member
from tests.plays.wire import RefusedError, Step
from tests.plays.world import Host, World


def concerns(step: Step, unit: str) -> bool:
    """True for a step that is about etcd's members or its data."""
    return unit == "etcd" or "etcdctl" in step.text


def run(world: World, host: Host, step: Step, unit: str) -> bool:
    """Run it; tell if etcd restarted."""
    if unit == "etcd":
        return _member(world, host, step)
    cluster = world.cluster_on(host)
    if cluster is None:
        raise RefusedError(f"{host.name}: etcd does not answer")
    if "etcdctl put" in step.text:
        cluster.network = True
        return False
    raise RefusedError(f"the plays do not know what {step.name} means: teach it to tests/plays/etcd_scripts.py")


def _member(world: World, host: Host, step: Step) -> bool:
    """steps/etcd.sh.j2."""
    digest = host.write(step)
    asked = urls(variable(step.text, "ASKED"))
    peer_url, client_url = variable(step.text, "PEER_URL"), variable(step.text, "CLIENT_URL")
    if host.data is None:
        _join_or_found(world, host, step, asked)
    assert host.data is not None
    cluster = world.state.clusters.founded[host.data.cluster]
    if cluster.member(host.data.member) is None:
        raise RefusedError(f"{host.name}: the member was removed from the cluster, and etcd ends")
    restarted = host.applied.get("etcd") != digest
    if restarted and host.runs("etcd") and world.cluster_on(host):
        _check_quorum_without(world, cluster, host)
    host.applied["etcd"] = digest
    own = cluster.at(peer_url)
    assert own is not None
    own.client_url = client_url
    world.changed()
    waits = not cluster.formed and int(variable(step.text, "STARTED")) < int(variable(step.text, "QUORUM"))
    if not waits or world.answering(asked):
        world.wait_until(lambda: world.has_quorum(cluster), f"{own.name} to be healthy")
        cluster.formed = True
        own.learner = False
        host.data.writes = cluster.writes
        world.changed()
    if "leave is_dead" in step.text:
        _let_go(world, cluster, variable(step.text, "EXPECTED"))
    return restarted


def _join_or_found(world: World, host: Host, step: Step, asked: list[str]) -> None:
    member, peer_url = variable(step.text, "MEMBER"), variable(step.text, "PEER_URL")
    if cluster := world.answering(asked):
        own = cluster.at(peer_url)
        if own and own.client_url:
            remove(world, cluster, own)
            own = None
        own = own or world.state.clusters.announce(cluster, member, peer_url)
    elif variable(step.text, "FIRST") == "yes":
        cluster = world.state.clusters.found(variable(step.text, "EXPECTED"), host.name)
        own = cluster.at(peer_url)
        assert own is not None
    else:
        raise RefusedError(f"{member} has no data and no other member answers at {','.join(asked)}")
    host.data = Data(cluster.number, own.id)


def _check_quorum_without(world: World, cluster: Cluster, host: Host) -> None:
    count = len(cluster.voters)
    others = [member for member in cluster.voters if world.member_up(cluster, member.id) not in (None, host)]
    if count > 2 and len(others) < count // 2 + 1:
        raise RefusedError(f"{len(others)} of the {count} members are healthy beside {host.name}: no quorum without it")


def remove(world: World, cluster: Cluster, member: Member) -> None:
    """Do `member remove`, which etcd refuses where it would cost the quorum; the member's process ends."""
    if not world.has_quorum(cluster):
        raise RefusedError("etcdserver: request timed out: no quorum")
    rest = [each for each in cluster.voters if each is not member]
    up = [each for each in rest if world.member_up(cluster, each.id)]
    if not member.learner and len(up) < len(rest) // 2 + 1:
        raise RefusedError("etcdserver: unhealthy cluster: the members that are left would have no quorum")
    host = world.member_up(cluster, member.id)
    cluster.members.remove(member)
    if host is not None:
        del host.applied["etcd"]
    world.changed()


def _let_go(world: World, cluster: Cluster, expected: str) -> None:
    wanted = {each.partition("=")[2] for each in expected.split(",")}
    for dead_only in (True, False):
        for member in [each for each in cluster.members if each.peer_url not in wanted]:
            if not (dead_only and world.member_up(cluster, member.id)):
                remove(world, cluster, member)
        unhealthy = [each.name for each in cluster.members if not world.member_up(cluster, each.id)]
        if unhealthy:
            raise RefusedError(f"timed out waiting for every member to be healthy: {', '.join(unhealthy)}")
