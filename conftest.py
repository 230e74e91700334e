from __future__ import annotations

import os
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# No test asks a public registry: what tests start has this from here.
os.environ.setdefault("TRIPLANE_REGISTRIES", "none")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what is rendered now to tests/golden")
    parser.addoption(
        "--host-image",
        action="append",
        default=[],
        metavar="SLUG",
        help="run the end-to-end tests on hosts of this image (once or more; the default is Pulumi.lab.yaml's)",
    )


class BesideEachOther(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Share work between processes by the file, and keep the end-to-end tests together: they share one cluster.

    pytest-xdist 3.8 has groups for this (`--dist loadgroup`), which do nothing under pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "tests/e2e" if file.startswith("tests/e2e/") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return BesideEachOther(config, log)
