"""Bringing the official plugins: which, when, with what environment, and what is said where they do not come."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import toolchain
from lab import plugins
from launcher import plugin_choice, plugin_download, preparation, stacks
from launcher.errors import LauncherError
from launcher.plugin_download import addresses, install, missing, plugin_folder
from launcher.report import Report
from launcher.workspace import Workspace
from toolchain import Limits, Mode, Upstream
from toolchain.tests.upstreams import Server, serving

LIMITS = Limits(probe=20, stall=20)

PULUMI = """\
#!/bin/sh
echo "$* $PULUMI_HOME $PULUMI_PLUGIN_DOWNLOAD_URL_OVERRIDES $PULUMI_ACCESS_TOKEN" >> {record}
{how}
mkdir -p "$PULUMI_HOME/plugins/resource-$4-v$5"
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own folder of the engine's files, and nothing in it."""
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi-home"))
    monkeypatch.setenv("TRIPLANE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(plugin_choice.OFFICIAL, raising=False)
    return tmp_path / "pulumi-home"


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "record"


def engine(folder: Path, record: Path, how: str = "") -> Path:
    """A `pulumi` that writes down what it is asked, and makes the folder of a plugin."""
    folder.mkdir(parents=True, exist_ok=True)
    pulumi = folder / "pulumi"
    pulumi.write_text(PULUMI.format(record=record, how=how))
    pulumi.chmod(0o755)
    return pulumi


def upstream(mode: Mode = Mode.PROBE, mirror: str = "", limits: Limits = LIMITS) -> Upstream:
    return Upstream(mode=mode, catalog={}, mirror=mirror, limits=limits)


def quiet(_plugin: str, _text: str) -> None:
    """Say nothing."""


def test_the_engine_fetches_missing_plugins_in_the_sdks_version(
    tmp_path: Path, home: Path, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_ACCESS_TOKEN", "of another project")
    (home / "plugins" / plugin_folder("tls")).mkdir(parents=True)
    install(engine(tmp_path / "bin", record), home, upstream(), quiet)
    asked = [line.split() for line in record.read_text().splitlines()]
    assert [f"resource-{words[3]}-v{words[4]}" for words in asked] == [
        plugin_folder(name) for name in plugins.PLUGINS if name != "tls"
    ]
    assert {tuple(words[5:]) for words in asked} == {("--exact", "--non-interactive", str(home))}
    assert missing(home / "plugins") == []


def test_a_plugin_that_the_engine_did_not_finish_is_missing(home: Path) -> None:
    for name in plugins.PLUGINS:
        (home / "plugins" / plugin_folder(name)).mkdir(parents=True)
    assert missing(home / "plugins") == []
    (home / "plugins" / f"{plugin_folder('command')}.partial").touch()
    assert missing(home / "plugins") == ["command"]
    assert preparation.official_plugins({"PULUMI_HOME": str(home)}) is None


def test_a_mirror_is_asked_in_upstreams_place(tmp_path: Path, home: Path, record: Path) -> None:
    install(engine(tmp_path / "bin", record), home, upstream(mirror="http://127.0.0.1:9"), quiet)
    assert ".*=http://127.0.0.1:9/get.pulumi.com/releases/plugins" in record.read_text()


def test_what_the_engine_says_last_is_why_a_plugin_does_not_come(tmp_path: Path, home: Path, record: Path) -> None:
    pulumi = engine(tmp_path / "bin", record, "echo installing; echo error: 404 HTTP error; exit 1")
    with pytest.raises(LauncherError, match=r"official plugin digitalocean .* is not downloaded: error: 404 HTTP"):
        install(pulumi, home, upstream(), quiet)
    assert len(record.read_text().splitlines()) == 1


def test_an_engine_that_cannot_be_run_is_told(tmp_path: Path, home: Path) -> None:
    with pytest.raises(LauncherError, match=r"digitalocean is not downloaded: No such file or directory \(.*/pulumi\)"):
        install(tmp_path / "pulumi", home, upstream(), quiet)


def test_a_download_that_stalls_is_ended(tmp_path: Path, home: Path, record: Path) -> None:
    pulumi = engine(tmp_path / "bin", record, "exec sleep 1000")
    said: list[str] = []
    with pytest.raises(LauncherError, match="it stalls"):
        install(pulumi, home, upstream(limits=Limits(stall=0.2)), lambda plugin, text: said.append(f"{plugin}: {text}"))
    assert "0 MB on disk" in said[-1]


# --- when it is done


@pytest.fixture
def mirror() -> Iterator[Server]:
    """A server of upstream's that answers, though it has no file."""
    with serving() as server:
        yield server


@pytest.fixture
def first_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is here, whatever this machine has installed."""
    monkeypatch.setattr("toolchain.engine_at_hand", lambda **_: {})


@pytest.fixture
def everything(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the plugins is here already."""
    monkeypatch.setattr("toolchain.engine_at_hand", lambda **_: {"pulumi": workspace.bin / "pulumi"})


def preparing(workspace: Workspace, server: Server, mode: Mode) -> preparation.Preparation:
    return preparation.Preparation(workspace=workspace, report=Report(), upstream=upstream(mode, server.address))


def write_state(workspace: Workspace, kind: plugin_choice.Kind) -> None:
    file = stacks.state_file(workspace, "lab")
    file.parent.mkdir(parents=True)
    made = {"type": "tls:index/privateKey:PrivateKey", "custom": True}
    file.write_text(json.dumps({"checkpoint": {"latest": {"resources": [made]}}}))
    (workspace.directory / plugin_choice.RECORD).write_text(f"{kind.value}\n")


@pytest.mark.usefixtures("first_run")
def test_a_first_run_with_a_server_that_answers_brings_them(workspace: Workspace, mirror: Server) -> None:
    made = preparing(workspace, mirror, Mode.PROBE)
    assert made._announce({})
    assert made.upstream.refusal(addresses()[0]) == ""


@pytest.mark.usefixtures("first_run")
def test_a_first_run_works_without_an_unreachable_server(workspace: Workspace) -> None:
    deaf = Server("http://127.0.0.1:9")  # the discard port: nobody listens
    assert not preparing(workspace, deaf, Mode.PROBE)._announce({})


@pytest.mark.usefixtures("everything")
def test_a_later_run_asks_nobody(workspace: Workspace, mirror: Server) -> None:
    assert not preparing(workspace, mirror, Mode.PROBE)._announce({})
    assert mirror.asked == []


@pytest.mark.usefixtures("everything")
def test_a_later_run_can_be_told_to_bring_them(
    workspace: Workspace, mirror: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert preparing(workspace, mirror, Mode.FETCH)._announce({})
    monkeypatch.setenv(plugin_choice.OFFICIAL, "1")
    assert preparing(workspace, mirror, Mode.PROBE)._announce({})
    assert preparing(workspace, mirror, Mode.BUILD)._announce({})


@pytest.mark.usefixtures("first_run")
@pytest.mark.parametrize("mode", list(Mode))
def test_plugins_are_never_changed_under_a_state(workspace: Workspace, mirror: Server, mode: Mode) -> None:
    write_state(workspace, plugin_choice.Kind.STAND_INS)
    assert not preparing(workspace, mirror, mode)._announce({})


@pytest.mark.usefixtures("everything")
def test_missing_plugins_of_an_existing_state_are_fetched_again(workspace: Workspace, mirror: Server) -> None:
    write_state(workspace, plugin_choice.Kind.OFFICIAL)
    assert preparing(workspace, mirror, Mode.FETCH)._announce({})


@pytest.mark.usefixtures("first_run")
@pytest.mark.parametrize("mode", list(Mode))
def test_nobody_who_wants_the_stand_ins_gets_others(
    workspace: Workspace, mirror: Server, monkeypatch: pytest.MonkeyPatch, mode: Mode
) -> None:
    monkeypatch.setenv(plugin_choice.OFFICIAL, "0")
    assert not preparing(workspace, mirror, mode)._announce({})


@pytest.mark.usefixtures("first_run")
def test_where_everything_is_built_nobody_is_asked_for_plugins(workspace: Workspace, mirror: Server) -> None:
    assert not preparing(workspace, mirror, Mode.BUILD)._announce({})
    assert mirror.asked == []


def test_unavailable_plugins_become_stand_ins_with_one_line(
    workspace: Workspace, mirror: Server, record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine(workspace.bin, record, "echo error: no such host; exit 1")
    made = preparing(workspace, mirror, Mode.PROBE)
    made._download_plugins(made.report.progress())
    said = capsys.readouterr().err
    assert said.rstrip().endswith("is not downloaded: error: no such host; the lab's stand-ins are used")
    assert "done" not in said


@pytest.mark.parametrize("forced", ["fetch", "official"])
def test_requested_plugins_that_cannot_be_fetched_are_an_error(
    workspace: Workspace, mirror: Server, record: Path, monkeypatch: pytest.MonkeyPatch, forced: str
) -> None:
    engine(workspace.bin, record, "exit 1")
    if forced == "official":
        monkeypatch.setenv(plugin_choice.OFFICIAL, "1")
    made = preparing(workspace, mirror, Mode.FETCH if forced == "fetch" else Mode.PROBE)
    with pytest.raises(LauncherError, match="is not downloaded: pulumi ended with exit code 1"):
        made._download_plugins(made.report.progress())


def test_their_addresses_are_those_of_the_installed_sdks() -> None:
    assert len(addresses()) == len(plugins.PLUGINS)
    assert all(plugin_download._SERVER in url and "-linux-" in url for url in addresses())


@pytest.fixture(scope="session")
def real() -> Path:
    """The engine itself."""
    return toolchain.engine()["pulumi"]


@pytest.mark.engine
def test_the_real_engine_takes_them_from_a_mirror(real: Path, mirror: Server, home: Path) -> None:
    for url in addresses():
        program = url.rsplit("/", 1)[1].split("-v")[0]
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w:gz") as tar:
            member = tarfile.TarInfo(program)
            member.mode, member.size = 0o755, len(b"a plugin")
            tar.addfile(member, io.BytesIO(b"a plugin"))
        mirror.files[url.removeprefix("https:/")] = content.getvalue()
    install(real, home, upstream(mirror=mirror.address), quiet)
    assert missing(home / "plugins") == []
    for name in plugins.PLUGINS:
        assert (home / "plugins" / plugin_folder(name) / f"pulumi-resource-{name}").read_bytes() == b"a plugin"


@pytest.mark.engine
def test_the_real_engine_says_why_one_does_not_come(real: Path, mirror: Server, home: Path) -> None:
    with pytest.raises(LauncherError, match=r"digitalocean .* is not downloaded: .*404"):
        install(real, home, upstream(mirror=mirror.address), quiet)
    assert mirror.asked
