"""Which provider plugins are used, and that a cluster keeps those that made it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from launcher import plugin_choice, stacks
from launcher.commands.version import version
from launcher.context import Context
from launcher.errors import MistakeError
from launcher.plugin_choice import Kind, choose, made_by, settle
from launcher.report import Report
from launcher.workspace import Workspace

DROPLET = {"type": "digitalocean:index/droplet:Droplet", "custom": True}
STACK = {"type": "pulumi:pulumi:Stack"}
PROVIDER = {"type": "pulumi:providers:digitalocean", "custom": True}


def hold(workspace: Workspace, *resources: dict[str, Any], stack: str = "lab", **more: Any) -> None:
    """Write a state with these resources."""
    file = stacks.state_file(workspace, stack)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"checkpoint": {"latest": {"resources": resources, **more}}}))


@pytest.fixture
def official(tmp_path: Path) -> Path:
    return tmp_path / "user" / "plugins"


def test_without_a_cluster_available_official_plugins_are_used(workspace: Workspace, official: Path) -> None:
    assert settle(workspace, {}, None) is None
    assert settle(workspace, {}, official) == official
    hold(workspace, STACK, PROVIDER)
    assert made_by(workspace) is None
    assert settle(workspace, {}, None) is None
    assert choose(workspace, {plugin_choice.OFFICIAL: "0"}, available=True) is Kind.STAND_INS


@pytest.mark.parametrize("stack", ["lab", "prod"])
def test_a_stand_in_cluster_keeps_them_when_official_ones_appear(
    workspace: Workspace, official: Path, stack: str
) -> None:
    settle(workspace, {}, None)
    hold(workspace, STACK, PROVIDER, DROPLET, stack=stack)
    assert settle(workspace, {}, official) is None
    assert settle(workspace, {}, official) is None
    hold(workspace, STACK, PROVIDER, stack=stack)
    assert settle(workspace, {}, official) == official


def test_what_an_interrupted_first_run_began_counts_as_a_cluster(workspace: Workspace, official: Path) -> None:
    settle(workspace, {}, None)
    hold(workspace, STACK, pending_operations=[{"type": "creating", "resource": DROPLET}])
    assert settle(workspace, {}, official) is None


def test_a_cluster_of_the_official_plugins_keeps_them(workspace: Workspace, official: Path) -> None:
    settle(workspace, {}, official)
    hold(workspace, DROPLET)
    assert settle(workspace, {}, official) == official
    with pytest.raises(MistakeError, match=r"made with the official .* not on this machine any more") as raised:
        settle(workspace, {}, None)
    assert "Set TRIPLANE_OFFICIAL_PLUGINS=1 to go on" in str(raised.value)
    assert made_by(workspace) is Kind.OFFICIAL


@pytest.mark.parametrize(("made", "wish", "way_back"), [(False, "1", "0"), (True, "0", "1")])
def test_a_plugin_switch_under_a_cluster_is_refused_with_advice(
    workspace: Workspace, official: Path, *, made: bool, wish: str, way_back: str
) -> None:
    settle(workspace, {}, official if made else None)
    hold(workspace, DROPLET)
    before = made_by(workspace)
    with pytest.raises(MistakeError) as raised:
        settle(workspace, {plugin_choice.OFFICIAL: wish}, official)
    said = str(raised.value)
    assert "\n" not in said
    assert f"TRIPLANE_OFFICIAL_PLUGINS={wish}" in said
    assert f"Set TRIPLANE_OFFICIAL_PLUGINS={way_back} to go on" in said
    assert "./triplane down" in said
    assert made_by(workspace) is before
    on_purpose = {plugin_choice.OFFICIAL: wish, plugin_choice.SWITCH: "1"}
    assert (settle(workspace, on_purpose, official) == official) is (wish == "1")
    assert made_by(workspace) is not before
    settle(workspace, {}, official)  # from here on without a word


@pytest.mark.parametrize(("linked", "kind"), [(True, Kind.OFFICIAL), (False, Kind.STAND_INS)])
def test_without_a_record_the_last_runs_plugins_tell(
    workspace: Workspace, official: Path, *, linked: bool, kind: Kind
) -> None:
    hold(workspace, DROPLET)
    if linked:
        workspace.pulumi_home.mkdir(parents=True, exist_ok=True)
        (workspace.pulumi_home / "plugins").symlink_to(official)
    assert made_by(workspace) is kind


def test_version_says_which_plugins_are_used(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "nothing"))
    monkeypatch.delenv(plugin_choice.OFFICIAL, raising=False)
    context = Context(workspace=workspace, report=Report())
    version(context)
    assert "provider plugins: the lab's stand-ins for digitalocean 4." in capsys.readouterr().out
    settle(workspace, {}, None)
    hold(workspace, DROPLET)
    monkeypatch.setenv(plugin_choice.OFFICIAL, "1")
    version(context)
    assert "was made with the stand-in provider plugins" in capsys.readouterr().out
