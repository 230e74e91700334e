"""What containerd is told, and how a host's pods are connected by flannel's lease."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from model import paths
from model.services import cni, containerd
from tests.unit.rendered import CLUSTER, TOPOLOGY

SHELLCHECK = str(Path(sys.executable).with_name("shellcheck"))

DIGEST = f"sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        (f"registry.k8s.io/pause:3.10.1@{DIGEST}", f"registry.k8s.io/pause@{DIGEST}"),
        (f"registry.k8s.io/pause@{DIGEST}", f"registry.k8s.io/pause@{DIGEST}"),
        (f"localhost:5000/pause@{DIGEST}", f"localhost:5000/pause@{DIGEST}"),
        (f"localhost:5000/a/pause:3.10@{DIGEST}", f"localhost:5000/a/pause@{DIGEST}"),
    ],
)
def test_the_sandbox_image_is_called_as_containerd_calls_it(reference: str, name: str) -> None:
    assert containerd.pinned(reference) == name


def script(registry: str | None) -> str:
    return containerd.service(replace(CLUSTER, registry=registry), TOPOLOGY.masters[0]).script


def test_a_mirror_is_the_only_registry_there_is() -> None:
    document = tomllib.loads(containerd.registry_hosts("https://mirror.example.com"))
    assert document == {"server": "https://mirror.example.com", "capabilities": ["pull", "resolve"]}
    assert f"put {containerd.REGISTRY} " in script("https://mirror.example.com")


def test_a_mirror_that_is_no_more_is_forgotten() -> None:
    assert f"\nrm -f {containerd.REGISTRY}\n" in script(None)
    assert f"put {containerd.REGISTRY} " not in script(None)


def test_only_a_change_of_its_own_restarts_containerd() -> None:
    depends_on = f"\nDEPENDS_ON=({containerd.CONFIGURATION} {paths.unit('containerd')})\n"
    assert depends_on in script(None)
    assert depends_on in script("https://mirror.example.com")


CTR = """#!/bin/sh
echo "$@" >>{calls}
case $7 in
gone) echo 'ctr: task gone not found: not found' >&2; exit 1 ;;
stuck) echo 'ctr: connection refused' >&2; exit 1 ;;
esac
"""


class Lease:
    """The script of the pod network in folders and a network namespace of its own; only ctr is not the real one."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.network = directory / "cni/net.d/10-flannel.conflist"
        self.addresses = directory / "networks/flannel"
        self.calls = directory / "calls"
        self.lease = directory / "subnet.env"
        self.script = directory / "pod-network"
        ctr = directory / "ctr"
        self.network.parent.parent.mkdir()
        self.addresses.mkdir(parents=True)
        monkeypatch.setattr(paths, "CNI", str(self.network.parent.parent))
        monkeypatch.setattr(paths, "CNI_ETC", str(self.network.parent))
        monkeypatch.setattr(paths, "CNI_CONFIGURATION", str(self.network))
        monkeypatch.setattr(paths, "CNI_LEASES", str(self.addresses.parent))
        monkeypatch.setattr(paths, "FLANNEL_SUBNET", str(self.lease))
        monkeypatch.setattr(paths, "POD_NETWORK", str(self.script))
        monkeypatch.setattr(paths, "POD_NETWORK_TEMPLATE", str(directory / "template.json"))
        for file in cni.files(ctr=str(ctr))[:2]:
            Path(file.path).write_text(file.content)
        ctr.write_text(CTR.format(calls=self.calls))
        for program in (ctr, self.script):
            program.chmod(0o755)

    def subnet(self, address: str, mtu: int = 1450) -> None:
        self.lease.write_text(
            f"FLANNEL_NETWORK=10.200.0.0/16\nFLANNEL_SUBNET={address}\nFLANNEL_MTU={mtu}\nFLANNEL_IPMASQ=true\n"
        )

    def holds(self, address: str, sandbox: str) -> None:
        """As host-local writes it (plugins/ipam/host-local/backend/disk)."""
        (self.addresses / address).write_text(f"{sandbox}\r\neth0")

    def run(self, bridge: str = "true", then: str = "true") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["unshare", "--net", "bash", "-ec", f"{bridge}\n{self.script} || exit 1\n{then}"],
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lease:
    return Lease(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("address", "subnet"),
    [("10.200.37.1/24", "10.200.37.0/24"), ("10.200.0.65/26", "10.200.0.64/26"), ("10.0.0.1/16", "10.0.0.0/16")],
)
def test_pods_get_the_leases_subnet_and_its_mtu(address: str, subnet: str, lease: Lease) -> None:
    lease.subnet(address, mtu=1370)
    assert lease.run().stdout == f"this host's pods are in {subnet}, with an MTU of 1370\n"
    bridge, portmap = json.loads(lease.network.read_text())["plugins"]
    assert bridge["mtu"] == 1370
    assert bridge["ipam"]["ranges"] == [[{"subnet": subnet}]]
    assert portmap["backend"] == "nftables"
    assert lease.network.stat().st_mode & 0o777 == 0o600


def test_an_unchanged_lease_changes_nothing_and_prints_nothing(lease: Lease) -> None:
    lease.subnet("10.200.37.1/24")
    lease.holds("10.200.37.9", "same")
    assert lease.run().returncode == 0
    written = lease.network.read_text()
    again = lease.run("ip link add cni0 type bridge; ip address add 10.200.37.1/24 dev cni0")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert lease.network.read_text() == written
    assert not lease.calls.exists()
    assert [path for path in lease.network.parent.parent.rglob("*") if path.is_file()] == [lease.network]


def test_a_new_lease_moves_the_bridge_and_ends_old_sandboxes(lease: Lease) -> None:
    lease.subnet("10.200.37.1/24")
    lease.run()
    lease.subnet("10.200.5.1/24")
    for address, sandbox in (("10.200.37.9", "old"), ("10.200.37.10", "gone"), ("10.200.5.4", "new")):
        lease.holds(address, sandbox)
    (lease.addresses / "last_reserved_ip.0").write_text("10.200.37.10")
    (lease.addresses / "lock").touch()
    result = lease.run(
        "ip link add cni0 mtu 1400 type bridge; ip address add 10.200.37.1/24 dev cni0",
        then="ip -4 -oneline address show dev cni0; ip link show dev cni0",
    )
    assert result.returncode == 0, result.stderr
    assert "this host's pods are in 10.200.5.0/24" in result.stdout
    assert "ended sandbox old, which had the address 10.200.37.9 of another lease" in result.stdout
    assert "gone" not in result.stdout
    assert " inet 10.200.5.1/24 " in result.stdout
    assert " inet 10.200.37.1/24 " not in result.stdout
    assert " mtu 1450 " in result.stdout
    assert sorted(line.split()[-1] for line in lease.calls.read_text().splitlines()) == ["gone", "old"]


def test_a_stuck_sandbox_fails_the_service_so_that_it_retries(lease: Lease) -> None:
    lease.subnet("10.200.5.1/24")
    lease.holds("10.200.37.9", "stuck")
    lease.holds("10.200.37.10", "old")
    result = lease.run()
    assert result.returncode == 1
    assert (
        "cannot end sandbox stuck, which has the address 10.200.37.9 of another lease: ctr: connection" in result.stderr
    )
    assert "ended sandbox old" in result.stdout


def test_the_script_passes_shellcheck() -> None:
    content = next(file.content for file in cni.files(ctr="/opt/ctr") if file.path == paths.POD_NETWORK)
    result = subprocess.run([SHELLCHECK, "-"], input=content, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_an_image_pull_error_repeats_the_registrys_words(tmp_path: Path) -> None:
    text = script(None)
    start, end = text.index("\npull() {"), text.index("\nis_pinned()")
    ctr = tmp_path / "ctr"
    ctr.write_text("#!/bin/sh\necho 'ctr: failed to resolve: 503\nService Unavailable' >&2\nexit 1\n")
    ctr.chmod(0o755)
    function = text[start:end].replace("/opt/triplane/containerd/2.3.4/ctr", str(ctr)).replace("+ 15", "+ 0")
    told = 'fail() { echo "$*"; exit 1; }; last_lines() { :; }; PAUSE=registry/pause'
    shell = f"set -Eeuo pipefail\n{told}\n{function}\npull"
    result = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert result.stdout == "cannot pull the image registry/pause: ctr: failed to resolve: 503 Service Unavailable\n"
