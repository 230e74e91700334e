"""Certificates of etcd that have all ended: the next steps bring the members back, with the data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.etcd.members import Member, found, members

pytestmark = pytest.mark.engine


@pytest.fixture
def ended(tmp_path: Path) -> Iterator[list[Member]]:
    """Three members that have a key, and certificates that have ended; their connections still are what they were."""
    with members(tmp_path) as hosts:
        found(hosts)
        hosts[0].ctl("put", "kept", "value")
        for member in hosts:
            member.outlive()
        assert [member.answers() for member in hosts] == [False] * 3
        yield hosts


def heal(hosts: list[Member]) -> None:
    for member in hosts:
        done = member.step()
        assert done.returncode == 0, done.stdout + done.stderr
    for member in hosts:
        assert member.ctl("get", "kept") == "kept\nvalue\n"
    assert hosts[0].ctl("member", "list").count(" started, ") == 3


def test_members_that_ran_on_get_through_in_one_up(ended: list[Member]) -> None:
    heal(ended)


def test_members_without_a_quorum_get_through_in_one_up(ended: list[Member]) -> None:
    for member in ended:
        member.crash()
        member.systemctl("start", "etcd")
    heal(ended)


def test_an_up_that_stopped_between_members_goes_on(ended: list[Member]) -> None:
    first = ended[0]
    systemctl = first.bin / "systemctl"
    works = systemctl.read_text()
    systemctl.write_text(works.replace("start | restart | stop)", "start | restart | stop)\n  exit 1"))
    assert first.step().returncode == 1
    systemctl.write_text(works)
    heal(ended)
