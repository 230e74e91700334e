"""What takes a role from a host that stays: the real scripts in a folder as a host's root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from model import paths
from model.assets import read
from model.services import etcd, kube_apiserver
from model.services.registry import SERVICES
from model.steps import uninstall
from model.steps.uninstall import ROLES, Job
from tests.unit.rendered import TOPOLOGY

MEMBER = TOPOLOGY.etcd[0]
PREFIXES = ("/etc/", "/opt/", "/run/", "/usr/local/", "/var/lib/")
LISTED = "1, started, {0}, https://{0}.internal.k8s.example.com:2380, https://{0}.internal.k8s.example.com:2379, false"


def own_paths(job: Job) -> tuple[str, ...]:
    return tuple(path for service in SERVICES if {*service.ROLES} == ROLES[job] for path in service.OWN_PATHS)


class Host:
    """A folder as a host's root; what the host itself would answer are stand-ins, and note each call."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bin = root / "usr/local/bin"
        self.file("usr/local/lib/triplane/step.sh", self.rooted(read("steps/step.sh")))
        self.file("called")
        for name in ("systemctl", "ip", "nft", "umount"):
            self.program(name)
        self.program("ip", '[ "$*" != "netns list" ] || echo "cni-1234 (id: 0)"')

    def rooted(self, text: str) -> str:
        for prefix in PREFIXES:
            text = text.replace(prefix, f"{self.root}{prefix}")
        return text

    def file(self, path: str, content: str = "") -> Path:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        return file

    def program(self, name: str, does: str = "") -> None:
        path = self.file(f"usr/local/bin/{name}", f'#!/bin/bash\necho "{name} $*" >>{self.root}/called\n{does}\n')
        path.chmod(0o755)

    def has(self, job: Job) -> list[Path]:
        """Put there what belongs to a job: a file for each path, and one in each folder."""
        made = []
        for path in own_paths(job):
            plain = path.replace("*", "1.2.3")
            folder = "." not in Path(plain).name or plain.endswith(".d")
            made.append(self.file(f"{plain}/member/any" if folder and "*" not in path else plain))
        units = [Path(path) for path in own_paths(job) if path.endswith(".service")]
        return [*made, *(self.file(f"{paths.APPLIED}/{unit.stem}") for unit in units)]

    @property
    def called(self) -> list[str]:
        return (self.root / "called").read_text().splitlines()

    def stopped(self) -> list[str]:
        return [call.split()[-1] for call in self.called if "disable --quiet --now" in call]

    def run(self, job: Job) -> subprocess.CompletedProcess[str]:
        # What is waited for here is there at once, or never.
        script = self.rooted(uninstall.script(job, host=MEMBER)).replace("wait_until 60", "wait_until 1")
        return subprocess.run(
            ["/bin/bash", "-c", script],
            env={"PATH": f"{self.bin}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            start_new_session=True,
        )


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def member(host: Host) -> Host:
    """A host with the data of a member."""
    host.has(Job.ETCD)
    host.file(paths.ETCD_CTL_ENVIRONMENT, "ETCDCTL_ENDPOINTS=https://those-of-before:2379\n")
    host.file("/etc/flannel/etcd-members", 'ETCD_MEMBERS="https://those-of-now:2379"\n')
    return host


def left(files: Iterable[Path]) -> list[Path]:
    return [file for file in files if file.exists()]


def succeeds(result: subprocess.CompletedProcess[str]) -> bool:
    return (result.returncode, result.stderr) == (0, "")


def test_every_service_belongs_to_exactly_one_job() -> None:
    assert sorted(service.NAME for service in SERVICES) == sorted(
        service.NAME for roles in ROLES.values() for service in SERVICES if {*service.ROLES} == roles
    )


@pytest.mark.parametrize("job", Job)
def test_paths_of_a_job_are_no_other_jobs(job: Job) -> None:
    others = [path for other in Job if other is not job for path in own_paths(other)]
    for path in own_paths(job):
        assert [other for other in others if other == path or other.startswith(f"{path}/")] == []


def test_a_master_that_stays_a_node_keeps_all_of_the_node(host: Host) -> None:
    gone, kept = host.has(Job.CONTROL_PLANE), host.has(Job.NODE)
    kubectl = host.bin / "kubectl"
    kubectl.symlink_to(f"{host.root}/opt/triplane/kubernetes/1.2.3/kubectl")
    for _again in range(2):
        assert succeeds(host.run(Job.CONTROL_PLANE))
        assert left(gone) == []
        assert left(kept) == kept
        assert not kubectl.is_symlink()
    assert host.stopped() == ["kube-scheduler.service", "kube-controller-manager.service", "kube-apiserver.service"]


def test_no_key_of_a_master_is_left(host: Host) -> None:
    keys = [host.file(kube_apiserver.SERVICE_ACCOUNT_KEY), host.file("/etc/kubernetes/pki/of-an-earlier-version.key")]
    assert succeeds(host.run(Job.CONTROL_PLANE))
    assert left(keys) == []


def test_a_service_that_does_not_stop_keeps_its_files(host: Host) -> None:
    made = host.has(Job.CONTROL_PLANE)
    host.program("systemctl", '[[ "$*" != *disable*apiserver* ]]')
    result = host.run(Job.CONTROL_PLANE)
    assert result.returncode == 1
    assert ": step uninstall-control-plane: kube-apiserver.service does not stop" in result.stderr
    assert left(made) == made


def test_data_goes_once_the_members_of_now_let_the_member_go(member: Host) -> None:
    member.program("etcdctl", f'echo "{LISTED.format("db-0")}"; echo "at $ETCDCTL_ENDPOINTS" >>{member.root}/called')
    assert succeeds(member.run(Job.ETCD))
    assert "at https://those-of-now:2379" in member.called
    assert member.stopped() == ["etcd.service"]
    assert left(member.root / path.lstrip("/") for path in own_paths(Job.ETCD)) == []


@pytest.mark.parametrize(
    "answers", [f'echo "{LISTED.format(MEMBER.name)}"', "echo 'context deadline exceeded' >&2; exit 1"]
)
def test_data_of_a_member_stays(member: Host, answers: str) -> None:
    member.program("etcdctl", answers)
    result = member.run(Job.ETCD)
    assert result.returncode == 1
    assert "waiting for the etcd members at https://those-of-now:2379 to have let etcd-0 go, whose data stays" in (
        result.stderr
    )
    assert (member.root / f"{etcd.DATA}/member/any".lstrip("/")).exists()
    assert member.stopped() == []


def test_what_an_interrupted_run_left_needs_no_answer_of_etcds(host: Host) -> None:
    unit = host.file(paths.unit("etcd"))
    host.program("etcdctl", "exit 1")
    assert succeeds(host.run(Job.ETCD))
    assert host.stopped() == ["etcd.service"]
    assert not unit.exists()


def test_a_host_without_the_job_is_left_alone(host: Host) -> None:
    kept = [host.file("/etc/kubernetes/manifests/own.yaml"), host.file("/etc/kubernetes/kubelet.conf.d/vendor.conf")]
    host.program("systemctl", '[[ "$*" != is-active* ]]')
    for job in Job:
        assert succeeds(host.run(job))
    assert left(kept) == kept
    assert host.stopped() == []


def test_containers_end_between_kubelet_and_containerd(host: Host) -> None:
    gone, kept = host.has(Job.NODE), host.has(Job.ETCD)
    tasks = host.file("tasks", "first\nsecond\n")
    host.program("ctr", f'case "$*" in *" list "*) cat {tasks} ;; *" kill "*) sed -i "/${{@: -1}}/d" {tasks} ;; esac')
    assert succeeds(host.run(Job.NODE))
    assert left(gone) == []
    assert left(kept) == kept
    order = [call for call in host.called if "--now" in call or " kill " in call]
    assert [call.split()[-1] for call in order] == [
        "kube-proxy.service",
        "kubelet.service",
        "first",
        "second",
        "pod-network.path",
        "pod-network.service",
        "containerd.service",
        "flanneld.service",
    ]
    removed = [call for call in host.called if " delete " in call]
    assert {"ip netns delete cni-1234", "ip link delete dev cni0", "ip link delete dev flannel.1"} <= {*removed}
    assert "nft delete table ip kube-proxy" in removed
