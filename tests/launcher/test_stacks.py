from __future__ import annotations

import json

import pytest
import yaml

from launcher import stacks
from launcher.errors import LauncherError, MistakeError
from launcher.workspace import Workspace

MACHINE = stacks.Machine(
    api_url="http://198.19.7.1:8000",
    mirror_url="http://198.19.7.1:8001",
    digests={"etcd": {"3.6.14": {"amd64": "ab" * 32}}},
    images={"pause": f"registry.k8s.io/pause:3.10.2@sha256:{'cd' * 32}"},
    ssh_ca_public_key="ssh-ed25519 AAAA",
    operator="198.19.7.1/32",
    zone={"id": "f" * 32, "name": "triplane.test"},
)


def config(workspace: Workspace, stack: str = "lab") -> stacks.Config:
    return stacks.settings(workspace, stack)


def change(workspace: Workspace, **values: object) -> None:
    """As `pulumi config set` does it: in the copy."""
    path = workspace.directory / "Pulumi.lab.yaml"
    content = yaml.safe_load(path.read_text())
    content["config"] |= {f"triplane:{key}": value for key, value in values.items()}
    path.write_text(yaml.safe_dump(content))


def track(workspace: Workspace, old: str, new: str) -> None:
    path = workspace.checkout / "Pulumi.lab.yaml"
    path.write_text(path.read_text().replace(old, new))


def test_planned_settings_are_those_written_and_write_nothing(workspace: Workspace) -> None:
    planned = stacks.planned(workspace, "lab", MACHINE)
    assert not (workspace.directory / "Pulumi.lab.yaml").exists()
    stacks.write_files(workspace, "lab", MACHINE)
    change(workspace, cluster="other")
    assert config(workspace) == planned | {"triplane:cluster": "other"}
    assert stacks.planned(workspace, "lab", MACHINE) == config(workspace)


def test_the_copy_takes_the_tracked_settings_and_this_machines(workspace: Workspace) -> None:
    stacks.write_files(workspace, "lab", MACHINE)
    made = config(workspace)
    assert made["triplane:cluster"] == "lab"
    assert made["digitalocean:apiEndpoint"] == "http://198.19.7.1:8000"
    assert made["cloudflare:baseUrl"] == "http://198.19.7.1:8000/client/v4"
    assert made["triplane:mirror"]["digests"]["etcd"]["3.6.14"]["amd64"] == "ab" * 32
    assert made["triplane:mirror"]["registry"] == made["triplane:mirror"]["url"] == "http://198.19.7.1:8001"
    assert made["triplane:images"] == {"pause": f"registry.k8s.io/pause:3.10.2@sha256:{'cd' * 32}"}
    assert made["triplane:sshCaPublicKey"] == "ssh-ed25519 AAAA"


def test_the_tracked_files_stay_as_they_are(workspace: Workspace) -> None:
    before = {path.name: path.read_text() for path in workspace.checkout.glob("Pulumi*")}
    stacks.write_files(workspace, "lab", MACHINE)
    stacks.write_files(workspace, "prod", MACHINE)
    assert {path.name: path.read_text() for path in workspace.checkout.glob("Pulumi*")} == before


def test_a_lab_on_another_block_is_reached_from_its_own_address(workspace: Workspace) -> None:
    stacks.write_files(workspace, "lab", MACHINE)
    assert config(workspace)["triplane:sshAllowed"] == ["198.19.7.1/32", "10.0.0.0/8"]


def test_a_real_accounts_stack_has_the_labs_zone_and_our_address(workspace: Workspace) -> None:
    stacks.write_files(workspace, "prod", MACHINE)
    made = config(workspace, "prod")
    assert made["triplane:zone"] == {"id": "f" * 32, "name": "triplane.test"}
    assert made["triplane:domain"] == "prod.triplane.test"
    for allowed in ("sshAllowed", "apiAllowed", "nodePortsAllowed"):
        assert made[f"triplane:{allowed}"] == ["198.19.7.1/32"]


def test_the_program_is_the_checkouts(workspace: Workspace) -> None:
    stacks.write_files(workspace, "lab", MACHINE)
    project = yaml.safe_load((workspace.directory / "Pulumi.yaml").read_text())
    assert (workspace.directory / project["main"]).resolve() == workspace.checkout.resolve()
    assert project["name"] == "triplane"


def test_an_edit_of_the_tracked_file_arrives(workspace: Workspace) -> None:
    stacks.write_files(workspace, "lab", MACHINE)
    track(workspace, "cluster: lab", "cluster: other")
    stacks.write_files(workspace, "lab", MACHINE)
    assert config(workspace)["triplane:cluster"] == "other"


def test_what_config_set_wrote_is_kept(workspace: Workspace) -> None:
    stacks.write_files(workspace, "lab", MACHINE)
    change(workspace, apiPort=8443, cluster="mine")
    track(workspace, "cluster: lab", "cluster: theirs")
    stacks.write_files(workspace, "lab", MACHINE)
    assert config(workspace)["triplane:apiPort"] == 8443
    assert config(workspace)["triplane:cluster"] == "mine"


def test_what_config_rm_took_away_stays_away(workspace: Workspace) -> None:
    stacks.write_files(workspace, "lab", MACHINE)
    path = workspace.directory / "Pulumi.lab.yaml"
    content = yaml.safe_load(path.read_text())
    del content["config"]["triplane:sshAllowed"]
    path.write_text(yaml.safe_dump(content))
    stacks.write_files(workspace, "lab", MACHINE)
    assert "triplane:sshAllowed" not in config(workspace)


def test_the_engines_salt_survives(workspace: Workspace) -> None:
    stacks.write_files(workspace, "lab", MACHINE)
    path = workspace.directory / "Pulumi.lab.yaml"
    path.write_text(path.read_text() + "encryptionsalt: v1:abc\n")
    stacks.write_files(workspace, "lab", MACHINE)
    assert yaml.safe_load(path.read_text())["encryptionsalt"] == "v1:abc"


def test_a_lost_copy_gets_its_salt_from_the_state(workspace: Workspace) -> None:
    state = stacks.state_file(workspace, "lab")
    state.parent.mkdir(parents=True)
    latest = {"secrets_providers": {"type": "passphrase", "state": {"salt": "v1:from-state"}}}
    state.write_text(json.dumps({"version": 3, "checkpoint": {"stack": "lab", "latest": latest}}))
    stacks.write_files(workspace, "lab", MACHINE)
    assert yaml.safe_load((workspace.directory / "Pulumi.lab.yaml").read_text())["encryptionsalt"] == "v1:from-state"


def test_the_copy_is_for_its_owner_alone(workspace: Workspace) -> None:
    stacks.write_files(workspace, "lab", MACHINE)
    assert (workspace.directory / "Pulumi.lab.yaml").stat().st_mode & 0o777 == 0o600
    assert workspace.directory.stat().st_mode & 0o777 == 0o700


def test_an_unknown_stack_is_answered_with_those_there_are(workspace: Workspace) -> None:
    with pytest.raises(MistakeError, match=r"no Pulumi\.staging\.yaml .* stacks: lab, prod"):
        stacks.write_files(workspace, "staging", MACHINE)


def test_a_broken_settings_file_is_named(workspace: Workspace) -> None:
    (workspace.checkout / "Pulumi.lab.yaml").write_text("config: [")
    with pytest.raises(MistakeError, match=r"Pulumi\.lab\.yaml is not YAML"):
        stacks.write_files(workspace, "lab", MACHINE)


SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:a:b"}
OPEN: stacks.Config = {
    "apiEndpoint": "https://api:6443",
    "certificates": {},
    "commands": {},
    "knownHosts": "h k",
    "hosts": [],
    "settings": {},
}


def record(workspace: Workspace, outputs: stacks.Config) -> None:
    state = stacks.state_file(workspace, "lab")
    state.parent.mkdir(parents=True, exist_ok=True)
    resources = [{"type": "pulumi:pulumi:Stack", "urn": "u", "outputs": outputs}]
    state.write_text(json.dumps({"version": 3, "checkpoint": {"stack": "lab", "latest": {"resources": resources}}}))


def test_outputs_come_from_the_state_but_secrets_stay_there(workspace: Workspace) -> None:
    record(workspace, OPEN | {"kubeconfig": SECRET, "deployKey": SECRET})
    assert stacks.outputs(workspace) == OPEN


@pytest.mark.parametrize("outputs", [{}, {"apiEndpoint": "https://api:6443"}])
def test_a_state_without_a_whole_cluster_is_none(workspace: Workspace, outputs: stacks.Config) -> None:
    record(workspace, outputs)
    with pytest.raises(LauncherError, match=r"run \./triplane up"):
        stacks.outputs(workspace)


def test_the_kubeconfig_is_taken_anew_when_the_state_has_changed(workspace: Workspace) -> None:
    class Engine:
        def __init__(self) -> None:
            self.workspace = workspace

        def capture(self, *arguments: str, stack: str) -> str:
            assert arguments == ("stack", "output", "kubeconfig", "--show-secrets")
            return "apiVersion: v1"

    record(workspace, OPEN | {"kubeconfig": SECRET})
    assert not stacks.has_kubeconfig(workspace)
    stacks.write_kubeconfig(Engine())  # type: ignore[arg-type]  # as much of one as is needed
    assert stacks.has_kubeconfig(workspace)
    assert workspace.kubeconfig.read_text() == "apiVersion: v1"
    assert workspace.kubeconfig.stat().st_mode & 0o777 == 0o600
    record(workspace, OPEN | {"kubeconfig": SECRET})
    assert not stacks.has_kubeconfig(workspace)


def test_a_forgotten_stack_leaves_no_file(workspace: Workspace) -> None:
    stacks.write_files(workspace, "lab", MACHINE)
    state = stacks.state_file(workspace, "lab")
    state.parent.mkdir(parents=True)
    state.write_text("{}")
    state.with_name("lab.json.bak").write_text("{}")
    workspace.kubeconfig.write_text("secret")
    before = {path.name for path in workspace.directory.iterdir()}
    assert {"Pulumi.lab.yaml", "kubeconfig"} <= before
    stacks.forget(workspace, "lab")
    assert stacks.recorded(workspace) == []
    assert not any("lab" in path.name or path.name == "kubeconfig" for path in workspace.directory.iterdir())
    assert list(state.parent.iterdir()) == []
