from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import plugins
from launcher import preparation
from launcher.errors import InterruptedByUserError, LauncherError, MistakeError
from launcher.plugin_download import plugin_folder
from launcher.preparation import official_plugins, place
from launcher.report import Report
from launcher.workspace import Workspace
from model.digitalocean import DEFAULT_IMAGE
from toolchain import PROGRAMS, Limits, Mode, Origin, Upstream, builder, host_arch
from toolchain.errors import ToolchainError
from toolchain.release_catalog import Catalog, Entry
from toolchain.tests.upstreams import Behaviour, Handler, Server, serving


def test_a_program_is_placed_without_a_copy(tmp_path: Path) -> None:
    """A hard link: the engine trusts what lies beside the path that it finds of itself."""
    source, target = tmp_path / "built", tmp_path / "bin" / "pulumi"
    source.write_text("engine")
    target.parent.mkdir()
    place(source, target)
    assert target.samefile(source)
    assert not target.is_symlink()


def test_a_newer_build_takes_the_older_ones_place(tmp_path: Path) -> None:
    old, new, target = tmp_path / "1", tmp_path / "2", tmp_path / "pulumi"
    old.write_text("old")
    new.write_text("new")
    place(old, target)
    place(new, target)
    assert target.read_text() == "new"
    assert old.read_text() == "old"


def test_on_another_file_system_it_is_copied_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    source, target = tmp_path / "built", tmp_path / "pulumi"
    source.write_text("engine")
    source.chmod(0o755)
    place(source, target)
    assert target.read_text() == "engine"
    assert os.access(target, os.X_OK)
    first = target.stat().st_ino
    place(source, target)
    assert target.stat().st_ino == first


def test_stand_ins_are_installed_under_the_sdk_versions(workspace: Workspace) -> None:
    preparation.install_stand_ins(workspace)
    found = sorted(path.name for path in (workspace.pulumi_home / "plugins").iterdir())
    assert found == sorted(plugin_folder(name) for name in plugins.PLUGINS)
    for name in plugins.PLUGINS:
        program = workspace.pulumi_home / "plugins" / plugin_folder(name) / f"pulumi-resource-{name}"
        assert str(workspace.python) in program.read_text()
        assert os.access(program, os.X_OK)


@pytest.fixture
def plugin_home(tmp_path: Path) -> Path:
    """A folder of the engine's with all four official plugins."""
    home = tmp_path / "pulumi"
    for name in plugins.PLUGINS:
        (home / "plugins" / plugin_folder(name)).mkdir(parents=True)
    return home


def test_official_plugins_are_used_where_all_four_are_there(plugin_home: Path) -> None:
    assert official_plugins({"PULUMI_HOME": str(plugin_home)}) == plugin_home / "plugins"


def test_three_of_four_are_not_enough(plugin_home: Path) -> None:
    (plugin_home / "plugins" / plugin_folder("tls")).rmdir()
    assert official_plugins({"PULUMI_HOME": str(plugin_home)}) is None


def test_official_plugins_can_be_requested_when_there_are_none(tmp_path: Path) -> None:
    environment = {"PULUMI_HOME": str(tmp_path), "TRIPLANE_OFFICIAL_PLUGINS": "1"}
    assert official_plugins(environment) == tmp_path / "plugins"


def test_stand_ins_and_official_plugins_alternate_safely(workspace: Workspace, plugin_home: Path) -> None:
    preparation.install_stand_ins(workspace)
    preparation.link_plugins(plugin_home / "plugins", workspace.pulumi_home / "plugins")
    assert (workspace.pulumi_home / "plugins").resolve() == (plugin_home / "plugins").resolve()
    preparation.install_stand_ins(workspace)
    assert not (workspace.pulumi_home / "plugins").is_symlink()
    theirs = subprocess.run(["find", plugin_home, "-type", "f"], capture_output=True, text=True, check=True)
    assert theirs.stdout == ""


def test_the_newest_release_of_what_is_not_named_is_made() -> None:
    newest = {name: PROGRAMS[name].versions[0] for name in preparation.RELEASES}
    older = PROGRAMS["kubernetes"].versions[1]
    assert preparation.releases(None) == newest
    assert preparation.releases({"kubernetes": older}) == newest | {"kubernetes": older}


def test_an_unavailable_version_error_lists_available_ones() -> None:
    with pytest.raises(MistakeError, match=r"triplane:versions\.etcd = 2\.0\.0 .* Write 3\.\d+\.\d+ or 3"):
        preparation.releases({"etcd": "2.0.0"})
    with pytest.raises(MistakeError, match=r"triplane:versions\.cniPlugins = 0\.1\.0 .* Write 1\."):
        preparation.releases({"cniPlugins": "0.1.0"})


def test_an_image_that_cannot_boot_is_refused_with_one_that_can(workspace: Workspace) -> None:
    path = workspace.checkout / "Pulumi.lab.yaml"
    path.write_text(path.read_text() + "  triplane:image: windows-95\n")
    made = preparation.Preparation(workspace=workspace, report=Report())
    with pytest.raises(MistakeError, match=r"triplane:image = windows-95 .* Write debian-12-x64"):
        made.everything("lab")


# --- releases: what is downloaded, what is built, and what is said of it

RUNC = PROGRAMS["runc"]
RUNC_PATH = RUNC.downloads[0].address(RUNC.versions[0], host_arch()).removeprefix("https:/")


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of upstream's releases with one file, and an empty cache."""
    monkeypatch.setenv("TRIPLANE_CACHE", str(tmp_path / "cache"))
    with serving() as server:
        server.files[RUNC_PATH] = b"runc"
        yield server


def preparing(workspace: Workspace, server: Server, mode: Mode = Mode.PROBE) -> preparation.Preparation:
    sha256 = {host_arch(): hashlib.sha256(b"runc").hexdigest()}
    pinned: Catalog = {"runc": {RUNC.versions[0]: {"runc": Entry(url=RUNC.downloads[0].url, sha256=sha256)}}}
    upstream = Upstream(mode=mode, catalog=pinned, mirror=server.address, limits=Limits(probe=30, pause=0.01))
    return preparation.Preparation(workspace=workspace, report=Report(), upstream=upstream)


def test_an_up_says_what_it_downloads_and_what_it_builds(
    workspace: Workspace, mirror: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolchain.engine_at_hand", lambda **_: {})
    wanted = {"runc": RUNC.versions[0], "kubernetes-images": PROGRAMS["kubernetes-images"].versions[0]}
    preparing(workspace, mirror)._announce(wanted)
    said = capsys.readouterr().err
    assert "downloading pulumi, runc: minutes, once" in said
    assert "building kubernetes-images: up to half an hour, once" in said


def test_a_release_that_was_downloaded_is_not_announced_again(
    workspace: Workspace, mirror: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolchain.engine_at_hand", lambda **_: {"pulumi": Path("/usr/bin/pulumi")})
    made = preparing(workspace, mirror)
    assert made.built("runc", RUNC.versions[0]).origin is Origin.RELEASE
    mirror.asked.clear()
    capsys.readouterr()
    made._announce({"runc": RUNC.versions[0]})
    assert capsys.readouterr().err == ""
    assert mirror.asked == []


@pytest.mark.parametrize(
    ("content", "how", "said"),
    [
        (b"runc", Handler.forbidden, "runc {version}: built from source (127.0.0.1:"),
        (b"other", Handler.well, "runc {version}: built from source, for the release's digest is wrong (http://127"),
    ],
)
def test_a_build_instead_of_a_release_is_explained_in_one_line(
    workspace: Workspace,
    mirror: Server,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    how: Behaviour,
    said: str,
) -> None:
    def no_go(*_: object) -> None:
        raise ToolchainError("it came to a build")

    monkeypatch.setattr(builder, "_go", no_go)
    mirror.files[RUNC_PATH], mirror.behaviours[RUNC_PATH] = content, how
    with pytest.raises(LauncherError, match="it came to a build"):
        preparing(workspace, mirror).built("runc", RUNC.versions[0])
    lines = [line for line in capsys.readouterr().err.splitlines() if "built from source" in line]
    assert len(lines) == 1
    assert said.format(version=RUNC.versions[0]) in lines[0]


def test_ctrl_c_in_a_download_says_that_the_next_run_goes_on(
    workspace: Workspace, mirror: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("toolchain.fetch.download", lambda *_, **__: interrupted())
    with pytest.raises(InterruptedByUserError, match="stopped; what has arrived is kept"):
        preparing(workspace, mirror).built("runc", RUNC.versions[0])


def test_what_contradicts_itself_is_refused_in_one_line(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPLANE_BUILD", "1")
    monkeypatch.setenv("TRIPLANE_FETCH", "1")
    with pytest.raises(MistakeError, match=r"\ATRIPLANE_BUILD=1 and TRIPLANE_FETCH=1 contradict .*\Z"):
        preparation.Preparation(workspace=workspace, report=Report())


def test_a_catalog_that_is_not_there_is_refused_with_its_name(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPLANE_RELEASES", "/not/there.yaml")
    with pytest.raises(MistakeError, match=r"/not/there\.yaml: No such file"):
        preparation.Preparation(workspace=workspace, report=Report())


def test_pools_may_boot_from_images_of_their_own() -> None:
    pools = [{"name": "a", "image": "debian-12-x64"}, {"name": "b"}]
    assert preparation.host_images({"triplane:pools": pools}) == [DEFAULT_IMAGE, "debian-12-x64"]
    assert preparation.host_images({"triplane:image": "ubuntu-24-04-x64"}) == ["ubuntu-24-04-x64"]
    with pytest.raises(
        MistakeError, match=r"triplane:pools\[1\]\.image = debian-11-x64 is not .* Write debian-12-x64 or"
    ):
        preparation.host_images({"triplane:pools": [{}, {"image": "debian-11-x64"}]})
