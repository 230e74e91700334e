"""Features for containers that a droplet has and this machine lacks, and the drop-ins that replace them.

The drop-ins are in the folders where containerd and kubelet look for drop-ins (containerd's `imports`, kubelet's
`--config-dir`), like those of an image's vendor; the program that sets up a host does not know them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import tomli_w
import yaml

CONTAINERD = "etc/containerd/conf.d/50-lab.toml"
KUBELET = "etc/kubernetes/kubelet.conf.d/50-lab.conf"

_CAP_SYS_RESOURCE = 24  # capabilities(7); the number is in linux/capability.h


@dataclass(frozen=True, kw_only=True, slots=True)
class Shortfalls:
    """Features of a droplet that the machine under the lab may lack."""

    cgroups_v1: bool
    """Controllers are mounted as version 1: the host's systemd ignores them, and kubelet refuses them by default."""
    fixed_oom_scores: bool
    """CAP_SYS_RESOURCE is missing: no process can be protected from the kernel's out-of-memory killer."""

    @classmethod
    def of_this_machine(cls) -> Self:
        """Ask the kernel, as it answers this process."""
        return cls.told_by(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/status").read_text())

    @classmethod
    def told_by(cls, mountinfo: str, status: str) -> Self:
        """Read them from texts as in proc_pid_mountinfo(5) and proc_pid_status(5)."""
        mounted = [line.partition(" - ")[2].split(" ", 2) for line in mountinfo.splitlines()]
        allowed = next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd:"))
        return cls(
            # A hierarchy with a name has no controller.
            cgroups_v1=any(kind == "cgroup" and "name=" not in options for kind, _source, options in mounted),
            fixed_oom_scores=not int(allowed, 16) >> _CAP_SYS_RESOURCE & 1,
        )


def drop_ins(shortfalls: Shortfalls) -> Mapping[str, str]:
    """Render the files by their paths without the leading slash; none for containerd where nothing is missing."""
    runtime: dict[str, Any] = {}
    if shortfalls.fixed_oom_scores:
        runtime["restrict_oom_score_adj"] = True
    if shortfalls.cgroups_v1:
        runtime["containerd"] = {"runtimes": {"runc": {"options": {"SystemdCgroup": False}}}}
    kubelet: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        # The disk belongs to this machine, not to the host: if it is full, no pod is evicted and no image removed.
        # Setting one threshold unsets all defaults, so the one for memory is here as well.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    }
    if shortfalls.cgroups_v1:
        kubelet["failCgroupV1"] = False
    rendered = {KUBELET: yaml.safe_dump(kubelet, sort_keys=False)}
    if runtime:
        containerd = {"version": 3, "plugins": {"io.containerd.cri.v1.runtime": runtime}}
        rendered[CONTAINERD] = tomli_w.dumps(containerd)
    return rendered
