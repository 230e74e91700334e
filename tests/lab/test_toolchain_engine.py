"""Which Pulumi engine is taken: an installed one that fits and is whole, or one that is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.toolchain import Build, engine, programs
from lab.toolchain.pulumi_engine import installed

OURS = programs.PROGRAMS["pulumi"].versions[0]
LANGUAGE = ("pulumi-language-python", "pulumi-language-python-exec")


def install(folder: Path, version: str, *, beside: tuple[str, ...] = LANGUAGE) -> str:
    """Put commands in a folder of which `pulumi` says a version, and return it as a PATH."""
    folder.mkdir(parents=True)
    for name in ("pulumi", *beside):
        (folder / name).write_text(f"#!/bin/sh\necho '{version}'\n")
        (folder / name).chmod(0o755)
    return str(folder)


@pytest.mark.parametrize("version", [f"v{OURS}", "v3.400.1"])
def test_an_installed_engine_as_new_as_ours_is_taken_with_its_own_language_host(tmp_path: Path, version: str) -> None:
    path = install(tmp_path / "bin", version)
    assert installed(path) == {name: tmp_path / "bin" / name for name in ("pulumi", *LANGUAGE)}
    assert engine(path=path) == installed(path)


def test_what_is_found_through_a_link_is_taken_from_where_it_was_installed(tmp_path: Path) -> None:
    install(tmp_path / "opt", "v3.300.0")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/pulumi").symlink_to(tmp_path / "opt/pulumi")
    found = installed(str(tmp_path / "bin"))
    assert found
    assert found["pulumi-language-python"] == tmp_path / "opt/pulumi-language-python"


@pytest.mark.parametrize("version", ["v3.100.0", "v4.0.0", "pulumi?", ""])
def test_an_engine_that_is_older_or_of_another_major_version_is_not_taken(tmp_path: Path, version: str) -> None:
    assert installed(install(tmp_path / "bin", version)) is None


def test_an_engine_without_its_language_host_is_not_taken(tmp_path: Path) -> None:
    assert installed(install(tmp_path / "bin", f"v{OURS}", beside=LANGUAGE[:1])) is None


def test_without_an_installed_engine_one_is_built_with_its_language_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(program: programs.Program, **_: object) -> Build:
        return Build(
            program=program.name,
            version=program.versions[0],
            arch="amd64",
            directory=tmp_path / program.name,
            sha256=dict.fromkeys(program.binaries, "0" * 64),
            built_from="a test",
        )

    monkeypatch.setattr("lab.toolchain.pulumi_engine.build", made)
    found = engine(path=str(tmp_path))
    assert found["pulumi"] == tmp_path / "pulumi/pulumi"
    assert {name for name in found if "python" in name} == {
        *LANGUAGE,
        "pulumi-analyzer-policy-python",
        "pulumi-resource-pulumi-python",
    }
