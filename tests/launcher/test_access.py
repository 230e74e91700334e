from __future__ import annotations

import subprocess
import threading

import pytest

from launcher import access
from launcher.errors import MistakeError
from launcher.workspace import Workspace

NODES = [
    {"name": "etcd-0", "fqdn": "etcd-0.lab.triplane.test", "publicAddress": "198.18.0.10"},
    {"name": "k8s-master-0", "fqdn": "k8s-master-0.lab.triplane.test", "publicAddress": "198.18.0.11"},
]
OUTPUTS = {"hosts": NODES, "knownHosts": "etcd-0.lab.triplane.test ssh-ed25519 AAAA\n"}


def certificate(workspace: Workspace) -> list[str]:
    text = subprocess.run(
        ["ssh-keygen", "-L", "-f", workspace.ssh / "operator-cert.pub"], capture_output=True, text=True, check=True
    ).stdout
    return [line.strip() for line in text.splitlines()]


def test_the_ca_is_made_once_and_only_its_owner_reads_its_key(workspace: Workspace) -> None:
    first = access.ca_public_key(workspace)
    assert first.startswith("ssh-ed25519 ")
    assert access.ca_public_key(workspace) == first
    assert (workspace.ssh / "ca").stat().st_mode & 0o777 == 0o600


def test_a_ca_whose_making_was_cut_off_is_made_again(workspace: Workspace) -> None:
    access.ca_public_key(workspace)
    (workspace.ssh / "ca.pub").unlink()
    assert access.ca_public_key(workspace).startswith("ssh-ed25519 ")


def test_the_certificate_is_for_root_and_for_hours(workspace: Workspace) -> None:
    access.certify(workspace)
    lines = certificate(workspace)
    assert lines[lines.index("Principals:") + 1] == "root"
    assert any(line.startswith("Valid: from ") for line in lines)
    assert not any(line == "Valid: forever" for line in lines)


def test_commands_at_the_same_time_each_find_a_whole_certificate(workspace: Workspace) -> None:
    access.certify(workspace)
    threads = [threading.Thread(target=access.certify, args=(workspace,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        assert "Principals:" in certificate(workspace)
    for thread in threads:
        thread.join()
    assert sorted(path.name for path in workspace.ssh.iterdir()) == [
        "ca", "ca.pub", "operator", "operator-cert.pub", "operator.pub",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["k8s-master-0", "k8s-master-0.lab.triplane.test"])
def test_a_host_is_found_by_its_short_and_its_full_name(name: str) -> None:
    assert access.host_named(NODES, name)["publicAddress"] == "198.18.0.11"


def test_an_unknown_host_is_answered_with_those_there_are(workspace: Workspace) -> None:
    with pytest.raises(MistakeError, match=r"no host 'master-0'; hosts: etcd-0, k8s-master-0"):
        access.host_named(NODES, "master-0")


def test_the_hosts_key_is_checked_under_its_name(workspace: Workspace) -> None:
    access.certify(workspace)
    command = access.ssh_command(workspace, OUTPUTS, NODES[0], [])
    assert "StrictHostKeyChecking=yes" in command
    assert "HostKeyAlias=etcd-0.lab.triplane.test" in command
    assert command[-1] == "root@198.18.0.10"
    assert (workspace.ssh / "known_hosts").read_text() == OUTPUTS["knownHosts"]


def test_words_arrive_on_the_host_as_they_were_given(workspace: Workspace) -> None:
    access.certify(workspace)
    command = access.ssh_command(workspace, OUTPUTS, NODES[0], ["printf", "%s|", "a b", "$HOME"])
    remote = " ".join(command[command.index("root@198.18.0.10") + 1 :])
    done = subprocess.run(["sh", "-c", remote], capture_output=True, text=True, check=True)
    assert done.stdout == "a b|$HOME|"


def test_a_single_word_is_a_command_line_for_the_hosts_shell(workspace: Workspace) -> None:
    access.certify(workspace)
    command = access.ssh_command(workspace, OUTPUTS, NODES[0], ["echo a | cat"])
    assert command[-1] == "echo a | cat"
