"""Which Pulumi engine is taken: an installed one that fits and is whole, upstream's release, or one that is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain import Build, Mode, engine, programs, pulumi_engine
from toolchain.pulumi_engine import at_hand, installed

OURS = programs.PROGRAMS["pulumi"].versions[0]
LANGUAGE = ("pulumi-language-python", "pulumi-language-python-exec")
ALL_FOR_PYTHON = {*LANGUAGE, "pulumi-analyzer-policy-python", "pulumi-resource-pulumi-python"}


def install(folder: Path, version: str, *, beside: tuple[str, ...] = LANGUAGE) -> str:
    """Put commands in a folder of which `pulumi` says a version, and return it as a PATH."""
    folder.mkdir(parents=True)
    for name in ("pulumi", *beside):
        (folder / name).write_text(f"#!/bin/sh\necho '{version}'\n")
        (folder / name).chmod(0o755)
    return str(folder)


@pytest.mark.parametrize("version", [f"v{OURS}", "v3.400.1"])
def test_a_recent_installed_engine_is_used_with_its_own_host(tmp_path: Path, version: str) -> None:
    path = install(tmp_path / "bin", version)
    assert installed(path) == {name: tmp_path / "bin" / name for name in ("pulumi", *LANGUAGE)}
    assert engine(path=path) == installed(path)


def test_a_linked_engine_is_used_from_its_install_folder(tmp_path: Path) -> None:
    install(tmp_path / "opt", "v3.300.0")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/pulumi").symlink_to(tmp_path / "opt/pulumi")
    found = installed(str(tmp_path / "bin"))
    assert found
    assert found["pulumi-language-python"] == tmp_path / "opt/pulumi-language-python"


@pytest.mark.parametrize("version", ["v3.100.0", "v4.0.0", "pulumi?", ""])
def test_an_older_or_other_major_engine_version_is_not_used(tmp_path: Path, version: str) -> None:
    assert installed(install(tmp_path / "bin", version)) == {}


def test_an_engine_without_its_language_host_is_not_taken(tmp_path: Path) -> None:
    assert installed(install(tmp_path / "bin", f"v{OURS}", beside=LANGUAGE[:1])) == {}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which programs were built or taken, in order; there is a release to take where its name is in the list."""
    names: list[str] = []

    def make(program: programs.Program, **_: object) -> Build:
        names.append(program.name)
        return Build(
            program=program.name,
            version=program.versions[0],
            arch="amd64",
            directory=tmp_path / program.name,
            sha256=dict.fromkeys(program.binaries, "0" * 64),
            built_from="a test",
        )

    monkeypatch.setattr("toolchain.pulumi_engine.build", make)
    monkeypatch.setattr("toolchain.pulumi_engine.take_release", make)
    return names


def test_without_an_installed_engine_upstreams_release_is_taken(tmp_path: Path, made: list[str]) -> None:
    found = engine(path=str(tmp_path), cache=tmp_path)
    assert found["pulumi"] == tmp_path / "pulumi-release/pulumi"
    assert made == ["pulumi-release"]
    assert {name for name in found if "python" in name} == ALL_FOR_PYTHON


def test_without_a_release_one_is_built_with_its_language_host(
    tmp_path: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolchain.pulumi_engine.take_release", lambda *_, **__: None)
    found = engine(path=str(tmp_path), cache=tmp_path)
    assert found["pulumi"] == tmp_path / "pulumi/pulumi"
    assert made == ["pulumi", "pulumi-language-python"]
    assert {name for name in found if "python" in name} == ALL_FOR_PYTHON


def test_an_earlier_build_is_used_without_asking_a_server(
    tmp_path: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make = vars(pulumi_engine)["build"]
    here = {program.name: program for program in (programs.PROGRAMS["pulumi"], programs.PROGRAMS[LANGUAGE[0]])}

    def cached(program: programs.Program, **_: object) -> Build | None:
        return make(program) if program.name in here else None

    monkeypatch.setattr("toolchain.pulumi_engine.cached", cached)
    assert at_hand(path=str(tmp_path))["pulumi"] == tmp_path / "pulumi/pulumi"
    assert at_hand(path=str(tmp_path), mode=Mode.FETCH) == {}
    assert engine(path=str(tmp_path))["pulumi"] == tmp_path / "pulumi/pulumi"
    assert "pulumi-release" not in made
