"""What a host gets so that it can run containers: rendered for both kinds of machine, and grouped on both."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest
import yaml

from lab.hosts import boot, cgroups, containers, kernel, seed
from lab.hosts.cgroups import Group, hierarchies
from lab.hosts.containers import Shortfalls
from lab.interfaces import Machine

SHELLCHECK = Path(sys.executable).parent / "shellcheck"

HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:7 - cgroup2 cgroup2 rw
52 23 0:32 /some/host /srv/chroot/memory rw,relatime - cgroup cgroup rw,memory
"""
NAMED_ONLY = "".join(line for line in HYBRID.splitlines(keepends=True) if "memory" not in line and "cpu" not in line)
UNIFIED = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
ALL_CAPABILITIES = "Name:\tpython\nCapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\n"
NO_SYS_RESOURCE = ALL_CAPABILITIES.replace("CapBnd:\t000001ffffffffff", "CapBnd:\t000001fffeffffff")

DROPLET = Shortfalls(cgroups_v1=False, fixed_oom_scores=False)


def test_hosts_are_grouped_in_every_hierarchy_once() -> None:
    root = Path("/sys/fs/cgroup")
    assert hierarchies(HYBRID) == tuple(root / name for name in ("unified", "memory", "cpu,cpuacct", "systemd"))
    assert hierarchies(UNIFIED) == (root,)
    assert hierarchies(HYBRID.splitlines()[0]) == ()


@pytest.mark.parametrize(
    ("mountinfo", "status", "told"),
    [
        (UNIFIED, ALL_CAPABILITIES, DROPLET),
        (NAMED_ONLY, ALL_CAPABILITIES, DROPLET),
        (HYBRID, ALL_CAPABILITIES, Shortfalls(cgroups_v1=True, fixed_oom_scores=False)),
        (UNIFIED, NO_SYS_RESOURCE, Shortfalls(cgroups_v1=False, fixed_oom_scores=True)),
    ],
)
def test_what_a_machine_lacks_is_read_from_what_its_kernel_says(mountinfo: str, status: str, told: Shortfalls) -> None:
    assert Shortfalls.told_by(mountinfo, status) == told


def _dropped_in(shortfalls: Shortfalls) -> dict[str, seed.File]:
    machine = Machine(
        id=100,
        name="k8s-node-0.lab.triplane.test",
        image="debian-12-x64",
        region="fra1",
        size="s-1vcpu-2gb",
        public=IPv4Interface("198.19.0.10/24"),
        private=None,
        vpc=None,
        public_keys=(),
        user_data="",
    )
    address = IPv4Address("198.19.0.1")
    return dict(
        seed.files(
            machine, gateway=address, resolver=address, stub=False, mtu=1500, package_source="", shortfalls=shortfalls
        )
    )


def test_a_droplet_like_machine_needs_no_container_overrides() -> None:
    files = _dropped_in(DROPLET)
    assert containers.CONTAINERD not in files
    assert set(yaml.safe_load(files[containers.KUBELET].text)) == {
        *("apiVersion", "kind"),
        *("evictionHard", "imageGCHighThresholdPercent", "imageGCLowThresholdPercent"),
    }


def test_each_work_around_comes_with_what_it_works_around() -> None:
    old = _dropped_in(Shortfalls(cgroups_v1=True, fixed_oom_scores=False))
    assert tomllib.loads(old[containers.CONTAINERD].text) == {
        "version": 3,
        "plugins": {
            "io.containerd.cri.v1.runtime": {
                "containerd": {"runtimes": {"runc": {"options": {"SystemdCgroup": False}}}},
            }
        },
    }
    assert yaml.safe_load(old[containers.KUBELET].text)["failCgroupV1"] is False
    poor = _dropped_in(Shortfalls(cgroups_v1=False, fixed_oom_scores=True))
    assert tomllib.loads(poor[containers.CONTAINERD].text)["plugins"] == {
        "io.containerd.cri.v1.runtime": {"restrict_oom_score_adj": True}
    }
    assert "failCgroupV1" not in poor[containers.KUBELET].text


def test_container_layers_and_pod_volumes_are_not_on_overlay() -> None:
    assert boot.OWN_FOLDERS == ("/var/lib/containerd", "/var/lib/kubelet")


def test_the_kernels_script_is_sound_shell() -> None:
    checked = subprocess.run(
        [SHELLCHECK, "-s", "sh", "-"], input=kernel.SCRIPT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


@pytest.fixture
def controllers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for /sys/fs/cgroup: the kernel's files are made as it would make them, for groups named beforehand."""
    mounts = tmp_path / "mountinfo"
    monkeypatch.setattr(cgroups, "_MOUNTS", mounts)
    return tmp_path


def test_version_2_hands_its_controllers_down_to_the_host(controllers: Path) -> None:
    root = controllers / "cgroup"
    (controllers / "mountinfo").write_text(f"30 24 0:26 / {root} rw - cgroup2 cgroup2 rw\n")
    levels = [root, root / "triplane", root / "triplane/test", root / "triplane/test/100"]
    for level in levels:
        level.mkdir()
        (level / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids\n")
        (level / "cgroup.subtree_control").touch()
    Group("test", "100").make()
    given = [(level / "cgroup.subtree_control").read_text() for level in levels]
    # The host's own group is handed to nspawn, which goes on from there.
    assert given == ["+cpu +cpuset +io +memory +pids"] * 3 + [""]


def test_version_1_lets_processes_in_only_where_cpus_are_named(controllers: Path) -> None:
    unified, cpuset, cpu = (controllers / name for name in ("unified", "cpuset", "cpu"))
    (controllers / "mountinfo").write_text(
        f"41 31 0:38 / {unified} rw - cgroup2 cgroup2 rw\n"
        f"42 31 0:39 / {cpuset} rw - cgroup cgroup rw,cpuset\n"
        f"43 31 0:40 / {cpu} rw - cgroup cgroup rw,cpu\n"
    )
    unified.mkdir()
    (unified / "cgroup.controllers").write_text("\n")
    levels = ["triplane", "triplane/test", "triplane/test/100"]
    for level in levels:
        (cpuset / level).mkdir(parents=True)
        (cpu / level).mkdir(parents=True)
        (cpu / level / "cpu.shares").write_text("1024")
        for name in ("cpuset.cpus", "cpuset.mems", "cgroup.clone_children"):
            (cpuset / level / name).write_text("\n")
    (cpuset / "cpuset.cpus").write_text("0-1\n")
    (cpuset / "cpuset.mems").write_text("0\n")
    Group("test", "100").make()
    for level in levels:
        assert (cpuset / level / "cpuset.cpus").read_text() == "0-1\n"
        assert (cpuset / level / "cpuset.mems").read_text() == "0\n"
        assert (cpuset / level / "cgroup.clone_children").read_text() == "1"
    # All hosts together weigh more than one of the machine's processes; among themselves they are equal.
    assert [(cpu / level / "cpu.shares").read_text() for level in levels] == ["10240", "1024", "1024"]
