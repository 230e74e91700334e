"""One incident: with thirteen hosts the fourteenth never answered, as the kernel's inotify instances were used up."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.hosts import inotify


@pytest.fixture
def limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    limit = tmp_path / "max_user_instances"
    limit.write_text("128\n")
    monkeypatch.setattr(inotify, "LIMIT", limit)
    monkeypatch.setattr(inotify, "REGISTRY", tmp_path)
    return limit


def test_the_limit_is_raised_from_the_first_lab_to_the_last(limit: Path) -> None:
    for name in ("one", "two"):
        (limit.parent / f"{name}.json").touch()
        inotify.ensure()
        assert int(limit.read_text()) == inotify.WANTED
    inotify.put_back("one")
    (limit.parent / "one.json").unlink()
    assert int(limit.read_text()) == inotify.WANTED
    inotify.put_back("two")
    assert limit.read_text() == "128\n"


def test_a_high_or_foreign_inotify_limit_is_left_alone(limit: Path) -> None:
    limit.write_text("8192")
    inotify.ensure()
    inotify.put_back("one")
    assert limit.read_text() == "8192"
    limit.write_text("128")
    inotify.ensure()
    limit.write_text("9000")
    inotify.put_back("one")
    assert limit.read_text() == "9000"
