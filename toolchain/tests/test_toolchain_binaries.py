"""The binaries themselves: each says the version that it was built as, and runs on any Linux."""

from __future__ import annotations

import subprocess
import sys

import pytest

from toolchain import PROGRAMS, Origin, build

pytestmark = pytest.mark.engine

SAYS = {
    "pulumi": (["version"], "v{version}"),
    "etcd": (["--version"], "etcd Version: {version}"),
    "etcdctl": (["version"], "etcdctl version: {version}"),
    "etcdutl": (["version"], "etcdutl version: {version}"),
    "kube-apiserver": (["--version"], "Kubernetes v{version}"),
    "kube-controller-manager": (["--version"], "Kubernetes v{version}"),
    "kube-scheduler": (["--version"], "Kubernetes v{version}"),
    "kubectl": (["version", "--client"], "Client Version: v{version}"),
    "kubelet": (["--version"], "Kubernetes v{version}"),
    "kube-proxy": (["--version"], "Kubernetes v{version}"),
    "flanneld": (["--version"], "v{version}"),
    "containerd": (["--version"], "github.com/containerd/containerd/v2 v{version}"),
    "containerd-shim-runc-v2": (["-v"], "Version:  v{version}"),
    "ctr": (["--version"], "github.com/containerd/containerd/v2 v{version}"),
    "runc": (["--version"], "runc version {version}"),
    "bridge": (["--version"], "CNI bridge plugin v{version}"),
    "host-local": (["--version"], "CNI host-local plugin v{version}"),
    "portmap": (["--version"], "CNI portmap plugin v{version}"),
    "coredns": (["--version"], "CoreDNS-{version}"),
}


@pytest.mark.parametrize(
    ("program", "binary"),
    [(program.name, binary) for program in PROGRAMS.values() for binary in program.packages if binary in SAYS],
)
def test_a_binary_says_its_version(program: str, binary: str) -> None:
    result = build(program)
    arguments, expected = SAYS[binary]
    ran = subprocess.run([result.path(binary), *arguments], capture_output=True, text=True, check=True, timeout=60)
    assert expected.format(version=result.version) in (ran.stdout + ran.stderr)


@pytest.mark.parametrize("program", [name for name, program in PROGRAMS.items() if not program.on_demand])
def test_a_binary_needs_no_library_of_the_host(program: str) -> None:
    result = build(program)
    # What upstream links is upstream's choice, and the same on a real host; all that it needs must be found there.
    wanted = "not a dynamic executable" if result.origin is Origin.SOURCE else ""
    for binary in (*PROGRAMS[program].packages, *PROGRAMS[program].c_sources):
        ran = subprocess.run(["ldd", result.path(binary)], capture_output=True, text=True, check=False)
        assert wanted in ran.stdout + ran.stderr, binary
        assert "not found" not in ran.stdout + ran.stderr, binary


def test_the_python_program_runner_works_with_the_pinned_sdk() -> None:
    script = build("pulumi-language-python").path("pulumi-language-python-exec")
    ran = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "--monitor" in ran.stdout
