from __future__ import annotations

from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from lab.interfaces import Machine
from tests.plays import invariants, scripts
from tests.plays.command_stand_in import RecordedCommand
from tests.plays.wire import RefusedError, Step, listening
from tests.plays.world import Host, Interruption, World
from tests.unit.rendered import steps

RENDERED = steps()
JOIN, LEAVE = RENDERED["etcd-last.sh"], RENDERED["etcd-leave.sh"]
"""Steps of etcd-2, which joins, and of its leave."""
MEMBERS = ("etcd-0", "etcd-1", "etcd-2")


def machine(number: int, name: str) -> Machine:
    return Machine(
        id=number,
        name=f"{name}.k8s.example.com",
        image="debian-13-x64",
        region="fra1",
        size="s-1vcpu-1gb",
        public=IPv4Interface(f"198.19.0.{number}/24"),
        private=IPv4Interface(f"10.10.0.{number}/20"),
        vpc="vpc",
        public_keys=(),
        user_data="",
    )


@pytest.fixture
def world() -> World:
    """Three droplets that are ready for etcd, and names for them."""
    world = World(scripts.run)
    world.patience = 0
    for number, name in enumerate(MEMBERS, 1):
        world.create(machine(number, name))
        prepare(world.state.hosts[number])
    named = {f"{name}.internal.k8s.example.com": [f"10.10.0.{number}"] for number, name in enumerate(MEMBERS, 1)}
    world.addresses = lambda name: named.get(name, [])
    return world


def prepare(host: Host) -> None:
    host.identified = host.ready = True
    host.installed |= {"/opt/triplane/etcd/3.6.14"}


def step(
    text: str, number: int, *, name: str = "", act: str = "create", host_key: str = "key", on_droplet: str = ""
) -> Step:
    """Make a step for the host of this number; the text is as for that host."""
    return Step(
        name=name or f"etcd-{number}-etcd",
        act=act,
        text=text,
        host=f"198.19.0.{number + 1}",
        host_key=host_key,
        on_droplet=on_droplet,
    )


def of(number: int, *, first: bool = False) -> str:
    """Write a member's step."""
    text, self = JOIN.replace("etcd-2", "MEMBER").replace(f"etcd-{number}", "etcd-2"), f"etcd-{number}"
    asked = ",".join(f"https://{name}.internal.k8s.example.com:2379" for name in MEMBERS if name != self)
    expected = ",".join(f"{name}=https://{name}.internal.k8s.example.com:2380" for name in MEMBERS)
    lines = [
        f"ASKED={asked}"
        if line.startswith("ASKED=")
        else f"EXPECTED={expected}"
        if line.startswith("EXPECTED=")
        else f"LAST={'yes' if number == 2 else 'no'}"
        if line.startswith("LAST=")
        else f"FIRST={'yes' if first else 'no'}"
        if line.startswith("FIRST=")
        else line
        for line in text.replace("MEMBER.", f"{self}.").replace("=MEMBER", f"={self}").splitlines()
    ]
    return "\n".join(lines)


def raised(world: World) -> World:
    for number in range(3):
        world.run(step(of(number, first=True), number))
    return world


def test_members_found_one_cluster_together(world: World) -> None:
    raised(world)
    [cluster] = world.state.clusters.founded
    assert world.live(cluster) == list(MEMBERS)
    assert cluster.founder == "etcd-0"
    assert not invariants.broken(world.record, frozenset(MEMBERS))


def test_a_member_that_may_not_found_needs_an_answer(world: World) -> None:
    with pytest.raises(RefusedError, match="no data and no other member answers"):
        world.run(step(of(2), 2))


def test_a_second_founding_breaks_a_rule(world: World) -> None:
    raised(world)
    for number in (1, 2, 3):
        world.destroy(number)
        world.create(machine(number + 10, f"etcd-{number - 1}"))
    for number in (11, 12, 13):
        prepare(world.state.hosts[number])
        world.state.hosts[number].private = f"10.10.0.{number - 10}"
        world.state.hosts[number].public = f"198.19.0.{number - 10}"
    for number in range(3):
        world.run(step(of(number, first=True), number))
    broken = " ".join(invariants.broken(world.record, frozenset(MEMBERS)))
    assert all(rule in broken for rule in ("founded_once", "nothing_lost", "one_absent", "leaves_first", "quorum_kept"))


def test_a_restart_without_a_quorum_of_others_is_refused(world: World) -> None:
    raised(world).power_off(3)
    with pytest.raises(RefusedError, match="quorum without etcd-0"):
        world.run(step(of(0).replace("ETCD_NAME", "ETCD_OTHER"), 0))


def test_a_member_is_let_go_only_by_a_whole_cluster(world: World) -> None:
    raised(world).power_off(1)
    with pytest.raises(RefusedError, match="before the host of etcd-2 goes"):
        world.run(step(LEAVE, 1, act="delete"))
    world.power_on(1)
    world.run(step(LEAVE, 1, name="etcd-2-etcd-leave", act="delete"))
    world.destroy(3)
    assert invariants.broken(world.record[-2:], frozenset(MEMBERS)) == []


def test_a_replaced_member_joins_again(world: World) -> None:
    raised(world).destroy(3)
    world.create(machine(4, "etcd-2"))
    world.state.hosts[4].private, world.state.hosts[4].public = "10.10.0.3", "198.19.0.3"
    prepare(world.state.hosts[4])
    world.run(step(of(2), 2))
    [cluster] = world.state.clusters.founded
    assert sorted(world.live(cluster)) == list(MEMBERS)
    assert "leaves_first" in " ".join(invariants.broken(world.record, frozenset(MEMBERS)))


@pytest.mark.parametrize(
    ("host_key", "on_droplet", "told"),
    [("another", "", "host key mismatch"), ("key", "7", "is for droplet 7, and etcd-0 is 1")],
    ids=["another host key", "another droplet"],
)
def test_a_step_for_another_droplet_is_refused(world: World, host_key: str, on_droplet: str, told: str) -> None:
    raised(world)
    with pytest.raises(RefusedError, match=told):
        world.run(step(of(0), 0, host_key=host_key, on_droplet=on_droplet))


def test_a_step_on_a_droplet_that_is_gone_is_refused(world: World) -> None:
    raised(world).destroy(1)
    with pytest.raises(RefusedError, match="no droplet with this address answers"):
        world.run(step(of(0), 0))


def test_an_unknown_script_is_refused(world: World) -> None:
    with pytest.raises(RefusedError, match="do not know what etcd-0-etcd means"):
        world.run(step("step surprise\n", 0))


@pytest.mark.parametrize(("after", "founded"), [(False, 0), (True, 1)])
def test_a_step_is_interrupted_on_either_side(world: World, after: bool, founded: int) -> None:
    with (
        world.interrupted(Interruption(1, after=after)),
        pytest.raises(RefusedError, match="the play interrupts etcd-0-etcd"),
    ):
        world.run(step(of(0, first=True), 0))
    assert len(world.state.clusters.founded) == founded
    world.run(step(of(0, first=True), 0))


def test_no_secret_reaches_the_record(tmp_path: Path) -> None:
    from lab.plugins.resource import Call

    seen: list[Step] = []
    inputs = {
        "create": "step etcd\n",
        "stdin": "# droplet 5\n/etc/etcd/key root:root 600 c2VjcmV0\n",
        "connection": {"host": "198.19.0.1", "privateKey": "secret", "hostKey": "public"},
    }

    def run(asked: Step) -> str:
        seen.append(asked)
        return ""

    with listening(tmp_path / "world.sock", run):
        RecordedCommand(str(tmp_path / "world.sock")).create(inputs, Call(name="etcd-0-etcd"))
    [asked] = seen
    assert (asked.on_droplet, list(asked.files)) == ("5", ["/etc/etcd/key"])
    assert "c2VjcmV0" not in str(asked)
    assert "secret" not in str(asked)
