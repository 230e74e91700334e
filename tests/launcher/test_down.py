"""`./triplane down` on a stack that is protected."""

from __future__ import annotations

import json

import pytest

from launcher import lab_daemon, stacks
from launcher.commands.down import down
from launcher.context import Context
from launcher.errors import LauncherError
from launcher.report import Report
from launcher.workspace import Workspace
from tests.launcher.test_stacks import OPEN

RESOURCES = [
    {
        "urn": "urn:pulumi:lab::triplane::pulumi:pulumi:Stack::triplane-lab",
        "type": "pulumi:pulumi:Stack",
        "outputs": OPEN,
    },
    {"urn": "urn:pulumi:lab::triplane::tls:index/privateKey:PrivateKey::kubernetes-ca", "type": "k", "protect": True},
    {"urn": "urn:pulumi:lab::triplane::digitalocean:index/vpc:Vpc::vpc", "type": "v", "protect": True},
]


def test_a_protected_cluster_is_not_taken_down(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    gone: list[Workspace] = []
    monkeypatch.setattr(lab_daemon, "remove", lambda where, _report: gone.append(where))
    state = stacks.state_file(workspace, workspace.stack)
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps({"version": 3, "checkpoint": {"latest": {"resources": RESOURCES}}}))
    (workspace.directory / f"Pulumi.{workspace.stack}.yaml").write_text("config: {}\n")
    with pytest.raises(LauncherError) as caught:
        down(Context(workspace=workspace, report=Report()))
    assert str(caught.value).startswith(
        "the stack lab is protected by triplane:protect (kubernetes-ca and 1 more), and nothing was removed"
    )
    assert gone == []
