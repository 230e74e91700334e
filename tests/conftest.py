from __future__ import annotations

import os

import pytest

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what shares hosts or an engine together: a module's tests run in one process, one after another."""
    for item in items:
        shared = item.get_closest_marker("hosts") or item.get_closest_marker("engine")
        if shared and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(str(item.path)))
