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


ONE_CLUSTER = "tests/e2e/"
TOGETHER = {
    ONE_CLUSTER: "cluster",
    "tests/components/": "graphs",
    "tests/policy/": "graphs",
    "tests/doctor/test_names.py": "graphs",
}
"""Beginning of a file's path → what its tests share with others, for it takes long to make."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest: everything else is done beside the end-to-end tests."""
    items.sort(key=lambda item: not item.nodeid.startswith(ONE_CLUSTER))


class BesideEachOther(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Share work between processes by the file, and keep tests together that share more.

    pytest-xdist 3.8 has groups for this (`--dist loadgroup`), which do nothing under pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((shared for path, shared in TOGETHER.items() if file.startswith(path)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    config.option.loadscopereorder = False  # by number of tests, which says little of their time
    return BesideEachOther(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have to tell beside their outcome (`record_property("told", lines)`)."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    told = [line for report in reports for name, lines in report.user_properties if name == "told" for line in lines]
    if told:
        terminalreporter.section("told by tests")
        for line in told:
            terminalreporter.write_line(line)
