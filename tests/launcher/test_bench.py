"""What the benchmark shows of what it measured."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from launcher.commands import bench
from launcher.commands.bench import Run, show


def run(seconds: float) -> Run:
    return Run(
        seconds={**dict.fromkeys(bench.TARGETS, 1.0), bench.FROM_NOTHING: seconds},
        phases=[("binaries, mirror, lab, stack", 0.0, 2.0, 0), ("the engine's start", 2.0, 3.0, 0)],
        path=[],
        pods=[1.0],
        memory=1 << 30,
    )


def shown(runs: list[Run], droplet_boot: float = 0) -> list[list[str]]:
    out = StringIO()
    show(runs, Console(file=out, width=200), droplet_boot)
    return [[cell for cell in line.split("  ") if cell] for line in out.getvalue().splitlines()]


def row(rows: list[list[str]], what: str) -> list[str]:
    (found,) = [cells for cells in rows if cells and cells[0].strip() == what]
    return [cell.strip() for cell in found[1:] if cell.strip()]


def test_with_slow_boots_only_the_target_beyond_one_boot_counts() -> None:
    rows = shown([run(300), run(100), run(190)], droplet_boot=45)
    assert row(rows, "the whole up, beyond one droplet's boot of 45 s") == ["145.0 s", "60 s", "too slow"]
    assert row(rows, bench.FROM_NOTHING) == ["190.0 s"]
    assert row(rows, bench.CONTROL_PLANE) == ["1.0 s"]
    assert row(rows, bench.NOTHING_TO_DO) == ["1.0 s", "15 s", "ok"]


def test_without_slow_boots_there_is_no_word_of_them() -> None:
    rows = shown([run(100)])
    assert not [cells for cells in rows if "boot of" in "".join(cells)]
    assert row(rows, bench.CONTROL_PLANE) == ["1.0 s", "120 s", "ok"]
