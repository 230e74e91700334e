"""A host's share of the one kernel, on real hosts: groups, settings, modules and disks are its own, and go with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.config import LabConfig
from lab.hosts.cgroups import Group
from lab.hosts.containers import Shortfalls
from lab.interfaces import Machine, Power
from lab.tests.labs import Bench, hosts_lab, traces
from tests.waiting import wait_for

pytestmark = pytest.mark.hosts

# A process in a group as kubelet makes them, at the top of every hierarchy that the host sees.
POD = """\
for controller in $(awk '$3 ~ /^cgroup/ { print $2 }' /proc/mounts); do
    mkdir -p $controller/kubepods/pod-1
done
systemd-run --quiet --unit pod sleep infinity
pid=$(systemctl show --value --property MainPID pod)
for controller in $(awk '$3 == "cgroup" { print $2 }' /proc/mounts); do
    echo $pid >$controller/kubepods/pod-1/cgroup.procs
done
"""
WHERE = "for pods in $(find /sys/fs/cgroup -path '*kubepods*' -name cgroup.procs); do echo $pods; done | wc -l"


@dataclass(frozen=True)
class Pair:
    bench: Bench
    one: Machine
    two: Machine


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with hosts_lab(tmp_path_factory.mktemp("kernel"), "tkernel", "198.19.21.0/24") as bench:
        machines = [bench.machine("one.lab.triplane.test"), bench.machine("two.lab.triplane.test")]
        with ThreadPoolExecutor() as workers:
            list(workers.map(bench.machines.create, machines))
            list(workers.map(bench.wait_for_boot, machines))
        yield Pair(bench, *machines)
    assert traces(bench.config) == []


def _groups(config: LabConfig, machine: Machine) -> list[str]:
    """Groups of pods below a host's own, in every hierarchy of this machine."""
    folders = Group(config.name, str(machine.id)).folders
    return [below for folder in folders for below, _names, _files in os.walk(folder) if "kubepods" in below]


def test_each_host_has_its_own_cgroups_removed_at_power_off(pair: Pair) -> None:
    bench, one, two = pair.bench, pair.one, pair.two
    bench.answer(one, POD)
    made = _groups(bench.config, one)
    assert len(made) == 2 * len(Group(bench.config.name).folders)
    assert bench.answer(one, WHERE) == str(len(made))
    assert bench.answer(two, WHERE) == "0"
    assert _groups(bench.config, two) == []
    # The same names on the other host are other groups.
    bench.answer(two, POD)
    bench.answer(two, "systemctl stop pod; find /sys/fs/cgroup -depth -path '*kubepods*' -type d -delete")
    assert _groups(bench.config, one) == made
    bench.machines.power_off(one.id)
    bench.machines.power_on(one.id)
    bench.wait_for_boot(one)
    assert bench.answer(one, WHERE) == "0", "groups of the last boot are still there"


def test_controllers_are_a_hosts_to_write_and_count_it_alone(pair: Pair) -> None:
    mounts = pair.bench.answer(pair.one, "grep ' cgroup' /proc/mounts | grep -v ^tmpfs").splitlines()
    assert len(mounts) == len(Group(pair.bench.config.name).folders)
    assert [line for line in mounts if " rw," not in line] == []
    if not Shortfalls.of_this_machine().cgroups_v1:
        # systemd-nspawn has set up a real tree, which is all that a droplet has.
        assert set(pair.bench.answer(pair.one, "cat /sys/fs/cgroup/cgroup.controllers").split()) >= {
            *("cpu", "cpuset", "memory", "pids"),
        }
        return
    used = int(pair.bench.answer(pair.one, "cat /sys/fs/cgroup/memory/memory.usage_in_bytes"))
    whole = int(Path("/sys/fs/cgroup/memory/memory.usage_in_bytes").read_text())
    assert 0 < used < whole
    assert pair.bench.answer(pair.one, "cat /sys/fs/cgroup/cpuset/cpuset.cpus") != ""


def test_layers_stack_in_container_storage_and_survive_power_off(pair: Pair) -> None:
    bench, machine = pair.bench, pair.two
    for folder in ("/var/lib/containerd", "/var/lib/kubelet"):
        stacked = (
            f"cd {folder} && mkdir -p lower upper work all && touch lower/below"
            " && mount -t overlay none -o lowerdir=lower,upperdir=upper,workdir=work all"
            " && echo kept >all/above && sync"
        )
        bench.answer(machine, stacked)
    bench.machines.power_off(machine.id)
    bench.machines.power_on(machine.id)
    bench.wait_for_boot(machine)
    for folder in ("/var/lib/containerd", "/var/lib/kubelet"):
        assert bench.answer(machine, f"cat {folder}/upper/above; ls {folder}/all") == "kept"


def test_kubernetes_sysctls_and_modules_persist_after_a_reboot(pair: Pair) -> None:
    bench, machine = pair.bench, pair.two
    shared = {
        "vm.overcommit_memory": "1",
        "kernel.panic": "10",
        "kernel.panic_on_oops": "1",
        "net.netfilter.nf_conntrack_max": "131072",
    }
    own = {"net.ipv4.ip_forward": "1", "net.bridge.bridge-nf-call-iptables": "1"}
    wanted = {**shared, **own}
    before = {name: Path("/proc/sys", name.replace(".", "/")).read_text() for name in shared}
    lines = "\\n".join(f"{name} = {value}" for name, value in wanted.items())
    bench.answer(
        machine,
        "printf 'br_netfilter\\noverlay\\n' >/etc/modules-load.d/kubernetes.conf"
        " && systemctl restart systemd-modules-load && modprobe br_netfilter && modprobe --all overlay nf_conntrack"
        f" && printf '{lines}\\n' >/etc/sysctl.d/90-kubernetes.conf && sysctl --load=/etc/sysctl.d/90-kubernetes.conf",
    )
    asked = f"sysctl -n {' '.join(wanted)}; modprobe --quiet no_such_module; echo $?"
    assert bench.answer(machine, asked).split() == [*wanted.values(), "1"]
    bench.machines.reboot(machine.id)
    bench.wait_for_boot(machine)
    assert bench.answer(machine, asked).split() == [*wanted.values(), "1"]
    assert bench.answer(machine, "systemctl is-active systemd-modules-load systemd-sysctl").split() == ["active"] * 2
    assert {name: Path("/proc/sys", name.replace(".", "/")).read_text() for name in shared} == before
    # What kube-proxy looks at before it is content with the size of the table of connections.
    hashsize = "/sys/module/nf_conntrack/parameters/hashsize"
    assert bench.answer(machine, f"echo 4711 >{hashsize}; cat {hashsize}") == "4711"


def test_a_killed_keeper_stops_nothing_and_destroy_cleans_up(pair: Pair) -> None:
    bench = pair.bench
    machine = bench.machine("three.lab.triplane.test")
    bench.machines.create(machine)
    bench.wait_for_boot(machine)
    bench.answer(machine, POD)
    group = Group(bench.config.name, str(machine.id))
    keepers = [int(pid) for pid in (group.folders[0] / "keeper/cgroup.procs").read_text().split()]
    for pid in keepers:
        os.kill(pid, 9)
    wait_for("the keeper to end", lambda: not set(keepers) & set(group.pids()))
    assert bench.machines.power(machine.id) is Power.ON
    bench.machines.destroy(machine.id)
    assert group.pids() == []
    assert _groups(bench.config, machine) == []
    assert [line for line in traces(bench.config) if str(machine.id) in line] == []
    assert not (bench.config.hosts / str(machine.id)).exists()
