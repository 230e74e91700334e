from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here works on one cluster, in the order it is written in."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.hosts)
            item.add_marker(pytest.mark.engine)
            item.add_marker(pytest.mark.xdist_group("e2e"))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three members and three masters, raised from nothing; nothing is left of them afterwards.

    TRIPLANE_E2E_DIR names a folder whose cluster is used as it is and left running, to write tests against.
    """
    kept = os.environ.get("TRIPLANE_E2E_DIR")
    cluster = Cluster(Path(kept) if kept else tmp_path_factory.mktemp("e2e"))
    try:
        cluster.up()
        yield cluster
    finally:
        if not kept:
            cluster.run("down")
