"""Looking at a cluster: what is asked of whom."""

from __future__ import annotations

import pytest

from launcher.commands.etcdctl import _endpoints


def test_etcdctl_asks_all_members_unless_told_otherwise() -> None:
    assert _endpoints(["member", "list"]) == ""


@pytest.mark.parametrize(
    "words", [["--endpoints=https://a:2379", "status"], ["status", "--endpoints", "https://a:2379"]]
)
def test_an_operators_endpoints_take_the_place_of_the_hosts_own(words: list[str]) -> None:
    assert _endpoints(words) == "unset ETCDCTL_ENDPOINTS; "


def test_a_snapshot_is_taken_of_the_hosts_own_member() -> None:
    assert _endpoints(["snapshot", "save", "/root/s"]) == "ETCDCTL_ENDPOINTS=https://127.0.0.1:2379; "
