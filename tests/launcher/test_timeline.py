from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from typing import Any

from launcher.bench.timeline import Event, Follower, Span, critical_path, dependencies, phases, spans

HEAD = "urn:pulumi:lab::triplane::"
VPC = f"{HEAD}triplane:network:Network$digitalocean:index/vpc:Vpc::vpc"
DROPLET = f"{HEAD}triplane:host:Droplets$digitalocean:index/droplet:Droplet::etcd-0"
KEY = f"{HEAD}triplane:pki:Pki$tls:index/privateKey:PrivateKey::ca"
ETCD = f"{HEAD}triplane:etcd:Cluster$triplane:etcd:Member$command:remote:Command::etcd-0"
COMPONENT = f"{HEAD}triplane:etcd:Cluster::etcd"


def before(at: float, urn: str, op: str = "create") -> Event:
    return at, {"resourcePreEvent": {"metadata": {"urn": urn, "op": op}}}


def after(at: float, urn: str, op: str = "create") -> Event:
    return at, {"resOutputsEvent": {"metadata": {"urn": urn, "op": op}}}


EVENTS = [
    before(1.0, COMPONENT), before(1.0, VPC), before(1.0, KEY), after(1.5, VPC), after(3.0, KEY),
    before(1.6, DROPLET), after(9.0, DROPLET), before(9.2, ETCD), after(12.0, ETCD), after(12.1, COMPONENT),
]  # fmt: skip
NEEDS = {ETCD: {DROPLET, KEY}, DROPLET: {VPC}, VPC: set(), KEY: set()}


def test_a_step_lasts_from_its_beginning_to_its_outputs() -> None:
    assert spans(EVENTS)[DROPLET] == Span(urn=DROPLET, start=1.6, end=9.0)


def test_a_resource_that_stays_as_it_is_takes_no_step() -> None:
    assert spans([before(1.0, VPC, "same"), after(1.1, VPC, "same")]) == {}


def test_the_critical_path_leads_back_over_what_ended_last() -> None:
    assert [step.name for step in critical_path(spans(EVENTS), NEEDS)] == ["vpc", "etcd-0", "etcd-0"]


def test_the_critical_path_looks_through_what_took_no_step() -> None:
    needs = {ETCD: {COMPONENT}, COMPONENT: {DROPLET}}
    assert critical_path(spans(EVENTS), needs)[0].urn == DROPLET


def test_nothing_done_has_no_critical_path() -> None:
    assert critical_path({}, NEEDS) == []


def test_phases_are_the_innermost_components_in_order() -> None:
    found = [(phase.name, phase.start, phase.end, phase.steps) for phase in phases(spans(EVENTS))]
    assert found == [
        ("network:Network", 1.0, 1.5, 1),
        ("pki:Pki", 1.0, 3.0, 1),
        ("host:Droplets", 1.6, 9.0, 1),
        ("etcd:Member", 9.2, 12.0, 1),
    ]


def test_dependencies_include_those_of_properties() -> None:
    state = [{"urn": ETCD, "dependencies": [DROPLET], "propertyDependencies": {"stdin": [KEY], "create": None}}]
    assert dependencies(state) == {ETCD: {DROPLET, KEY}}


def line(kind: str, urn: str, **more: Any) -> str:
    return json.dumps({kind: {"metadata": {"urn": urn, "op": "create", **more}}}) + "\n"


def test_the_log_is_read_while_written_with_a_time_for_each_line(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "events")
    with follower.following(), (tmp_path / "events").open("w") as writing:
        whole = line("resourcePreEvent", VPC) + line("resOutputsEvent", VPC)
        half = len(whole) * 2 // 3
        writing.write(whole[:half])
        writing.flush()
        while not follower.events:
            time.sleep(0.01)
        writing.write(whole[half:])
    assert [list(event) for _, event in follower.events] == [["resourcePreEvent"], ["resOutputsEvent"]]
    assert follower.events[0][0] < follower.events[1][0]
    assert spans(follower.events)[VPC].seconds > 0


def test_followed_logs_keep_no_secret_and_leave_no_file(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "events")
    with follower.following(), (tmp_path / "events").open("w") as writing:
        writing.write(line("resOutputsEvent", VPC, new={"outputs": {"key": "s3cret"}}))
        writing.write(json.dumps({"diagnosticEvent": {"message": "s3cret"}}) + "\n")
        assert stat.S_ISFIFO((tmp_path / "events").stat().st_mode)
    assert "s3cret" not in str(follower.events)
    assert "resOutputsEvent" in str(follower.events)
    assert list(tmp_path.iterdir()) == []


def test_an_engine_that_never_starts_keeps_nobody_waiting(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "events")
    with follower.following():
        pass
    assert follower.events == []
