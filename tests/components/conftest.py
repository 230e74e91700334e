from __future__ import annotations

import pytest

from tests.components.graph import Graph, graph_of


@pytest.fixture(scope="session")
def lab() -> Graph:
    return graph_of("lab")


@pytest.fixture(scope="session", params=["dev", "lab", "prod"])
def graph(request: pytest.FixtureRequest) -> Graph:
    return graph_of(request.param)
