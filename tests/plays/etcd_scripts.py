"""Meaning of the scripts of etcd's members, in the world of a play."""

from __future__ import annotations

from tests.plays import texts
from tests.plays.toy_etcd import Cluster, Data, Member
from tests.plays.wire import RefusedError, Step
from tests.plays.world import Host, World


def concerns(step: Step, unit: str) -> bool:
    """True for a step that is about etcd's members or its data."""
    return unit == "etcd" or (
        "etcdctl" in step.text and not texts.step_name(step.text).startswith(("install-", "uninstall-"))
    )


def run(world: World, host: Host, step: Step, unit: str) -> bool:
    """Run it; tell if etcd restarted."""
    if unit == "etcd":
        return _member(world, host, step)
    cluster = world.answering(host.members)
    if cluster is None:
        raise RefusedError(
            f"{host.name}: no etcd member answers at {','.join(host.members) or 'all, for none is known'}"
        )
    if texts.step_name(step.text) == "flannel-network":
        if "etcdctl put" not in step.text and not cluster.network:
            raise RefusedError("etcd has no network of pods")
        cluster.network = True
    elif "others_are_whole" in step.text.rpartition("\n}\n")[2]:
        _leave(world, host, cluster, step)
    elif "remove_former true" in step.text:
        _remove_former(world, cluster, step, dead_only=True)
        world.wait_until(lambda: not _unhealthy(world, cluster), "every member to be healthy")
        _remove_former(world, cluster, step, dead_only=False)
    else:
        raise RefusedError(f"the plays do not know what {step.name} means: teach it to tests/plays/etcd_scripts.py")
    return False


def _member(world: World, host: Host, step: Step) -> bool:
    """steps/etcd.sh.j2."""
    digest = host.write(step)
    host.members = texts.urls(texts.variable(step.text, "ETCDCTL_ENDPOINTS"))
    asked = texts.urls(texts.variable(step.text, "ASKED"))
    peer_url, client_url = texts.variable(step.text, "PEER_URL"), texts.variable(step.text, "CLIENT_URL")
    if host.data is None:
        _join_or_found(world, host, step, asked)
    assert host.data is not None
    cluster = world.state.clusters.founded[host.data.cluster]
    if cluster.member(host.data.member) is None:
        raise RefusedError(f"{host.name}: the member was removed from the cluster, and etcd ends")
    restarted = host.applied.get("etcd") != digest
    if restarted and host.runs("etcd") and world.cluster_on(host):
        _remove_former(world, cluster, step, dead_only=True)
        world.wait_until(lambda: _others_are_quorum(world, cluster, peer_url), f"a quorum without {host.name}")
    host.applied["etcd"] = digest
    own = cluster.at(peer_url)
    assert own is not None
    own.client_url = client_url
    world.changed()
    founding = texts.variable(step.text, "LAST") == "no" and not host.healthy_once
    if not founding or world.answering(asked):
        world.wait_until(lambda: world.has_quorum(cluster), f"{own.name} to be healthy")
        cluster.formed = True
        own.learner, host.healthy_once = False, True
        host.data.writes = cluster.writes
        world.changed()
    return restarted


def _join_or_found(world: World, host: Host, step: Step, asked: list[str]) -> None:
    member, peer_url = texts.variable(step.text, "MEMBER"), texts.variable(step.text, "PEER_URL")
    if cluster := world.answering(asked):
        own = cluster.at(peer_url)
        if own and own.client_url:
            remove(world, cluster, own)
            own = None
        own = own or world.state.clusters.announce(cluster, member, peer_url)
    elif texts.variable(step.text, "FIRST") == "yes":
        if "etcd" in host.applied:
            raise RefusedError(f"{member} would found an empty cluster, but one ran on {host.name}")
        cluster = world.state.clusters.found(texts.variable(step.text, "EXPECTED"), host.name)
        own = cluster.at(peer_url)
        assert own is not None
    else:
        raise RefusedError(f"{member} has no data and no other member answers at {','.join(asked)}")
    host.data = Data(cluster.number, own.id)


def _leave(world: World, host: Host, cluster: Cluster, step: Step) -> None:
    """steps/etcd-leave.sh.j2: the others that the settings have are all there, and a quorum without this one."""
    peer_url, client_url = texts.variable(step.text, "PEER_URL"), texts.variable(step.text, "CLIENT_URL")
    own = cluster.at(peer_url)
    if own is None:
        return
    if len(cluster.members) == 1:
        raise RefusedError(f"{own.name} is the only member, and its data would go with its host")
    others = [url for url in host.members if url != client_url]

    def whole() -> bool:
        voters = [member.client_url for member in cluster.voters]
        missing = [url for url in others if url not in voters or world.answering([url]) is not cluster]
        return not missing and _others_are_quorum(world, cluster, peer_url)

    world.wait_until(whole, f"the other members to be healthy, before the host of {own.name} goes")


def _others_are_quorum(world: World, cluster: Cluster, peer_url: str) -> bool:
    count = len(cluster.voters)
    others = [each for each in cluster.voters if each.peer_url != peer_url and not _is_dead(world, each)]
    return count <= 2 or len(others) >= count // 2 + 1


def _is_dead(world: World, member: Member) -> bool:
    return not member.client_url or world.answering([member.client_url]) is None


def _unhealthy(world: World, cluster: Cluster) -> list[str]:
    return [member.name for member in cluster.members if _is_dead(world, member)]


def _remove_former(world: World, cluster: Cluster, step: Step, *, dead_only: bool) -> None:
    expected = {each.partition("=")[2] for each in texts.urls(texts.variable(step.text, "EXPECTED"))}
    for member in [each for each in cluster.members if each.peer_url not in expected]:
        if not dead_only or _is_dead(world, member):
            remove(world, cluster, member)


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
