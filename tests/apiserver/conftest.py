from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.apiserver.server import ApiServer, serving


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with serving(tmp_path_factory.mktemp("api")) as server:
        yield server
