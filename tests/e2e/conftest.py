from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster

NODES_IMAGE = "debian-12-x64"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here works on one cluster, in the order it is written in: `tests/conftest.py` keeps it together."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.hosts)
            item.add_marker(pytest.mark.engine)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    images = metafunc.config.getoption("--host-image")
    if images and "cluster" in metafunc.fixturenames:
        metafunc.parametrize("cluster", images, indirect=True, scope="session")


@pytest.fixture(scope="session")
def slowly(pytestconfig: pytest.Config) -> Callable[[int], int]:
    """The official plugin's limit for a deletion, in seconds → seconds that the deletion takes.

    Only `./triplane test long` has the time for more than the limit. What a plugin does at its limit, and that the
    program sets another one, is tested without hosts in every run.
    """
    hurried = pytestconfig.getoption("markexpr") == "not long"
    return lambda limit: 5 if hurried else limit + 5


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three members, three masters and two nodes, raised from nothing; nothing is left of them afterwards.

    Unless an image is asked for, nodes boot from another image than the control plane: each is seen to work.
    TRIPLANE_E2E_DIR names a folder whose cluster is used as it is and left running, to write tests against.
    """
    kept = os.environ.get("TRIPLANE_E2E_DIR")
    cluster = Cluster(Path(kept) if kept else tmp_path_factory.mktemp("e2e"))
    try:
        if image := getattr(request, "param", None):
            cluster.configure("triplane:image", image)
        else:
            cluster.configure("triplane:pools[2].image", NODES_IMAGE)
        cluster.up()
        yield cluster
    finally:
        if not kept:
            cluster.run("down")
