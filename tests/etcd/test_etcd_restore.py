"""A cluster whose hosts are all lost, and a state that was lost: what the docs say, word for word."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.services import etcd
from tests.etcd.members import Member, found, members

pytestmark = pytest.mark.engine

DOCS = Path(__file__).resolve().parents[2] / "docs/operations.md"


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[Member]]:
    with members(tmp_path) as made:
        found(made)
        yield made


def documented() -> str:
    """The commands that the docs give for the first member."""
    section = DOCS.read_text().partition("## Restore etcd\n")[2]
    commands = re.search(r"   ```\n(.*?)   ```", section, re.DOTALL)
    assert commands
    return re.sub(r"^   ", "", commands.group(1), flags=re.MULTILINE)


def test_a_snapshot_is_restored_on_hosts_that_are_all_new(hosts: list[Member]) -> None:
    hosts[0].ctl("put", "kept", "value")
    snapshot = hosts[0].root.parent / "etcd.snapshot"
    hosts[0].ctl("snapshot", "save", str(snapshot))
    for member in hosts:
        member.crash()
        for there in ("/etc/etcd", etcd.DATA, "/var/lib/triplane", "/etc/systemd"):
            shutil.rmtree(member.path(there))

    stopped = hosts[0].step()
    assert stopped.returncode == 1
    assert "has no data and no other member answers" in stopped.stderr
    done = hosts[0].shell(f"set -e\n{documented()}".replace("/root/etcd.snapshot", str(snapshot)))
    assert done.returncode == 0, done.stderr
    for member in hosts:
        done = member.step()
        assert done.returncode == 0, done.stdout + done.stderr
    for member in hosts:
        assert member.ctl("get", "kept") == "kept\nvalue\n"
    assert hosts[0].ctl("member", "list").count(" started, ") == 3


def test_a_lost_state_founds_no_second_cluster(hosts: list[Member]) -> None:
    for member in hosts:
        member.crash()
        shutil.rmtree(member.path(etcd.DATA))
    refused = hosts[0].step(first=True)
    assert refused.returncode == 1
    assert "would found an empty cluster, but " in refused.stderr
    assert "/var/lib/triplane/applied/etcd says that one ran on this host" in refused.stderr
