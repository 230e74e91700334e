"""The script that keeps one host running: a process of its own, so that hosts outlive the lab's daemon."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from lab.config import LabConfig
from lab.hosts.cgroups import Group
from lab.hosts.network import HOST_SETTINGS, WIRE_SETTINGS, interfaces, wiring
from lab.interfaces import Machine

_REBOOT = 133
"""Exit code of systemd-nspawn --keep-unit after a reboot request."""

BINDS: tuple[str, ...] = ("/dev/kmsg",)
"""Devices that a host shares with this machine."""

INIT_ARGUMENTS: tuple[str, ...] = ("SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1",)
"""Variable for a host's init, as on a kernel's command line. Without it, systemd 256 and later refuse version 1 of
cgroups (NEWS of systemd). It has no effect where version 2 is mounted, and older systemds do not know it."""

OWN_FOLDERS: tuple[str, ...] = ("/var/lib/containerd", "/var/lib/kubelet")
"""Folders of a host that must not be on its overlay: the kernel refuses a container's overlay on top of another."""


def script(config: LabConfig, machine: Machine, image: Path, group: Group, seconds: float = 0) -> str:
    """Render the script. Every boot gets a fresh network namespace and a mount namespace that ends with it.

    The operating system starts `seconds` after power-on: until then the host is on and does not answer.
    """
    folder = config.hosts / str(machine.id)
    namespace = config.host_namespace(machine.id)
    layers = f"lowerdir={image},upperdir={folder}/upper,workdir={folder}/work"
    nspawn = [
        *("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--settings=no"),
        *(f"--directory={folder}/root", f"--machine={namespace}", f"--hostname={machine.name}"),
        *(f"--network-namespace-path=/run/netns/{namespace}", "--resolv-conf=off", "--timezone=off"),
        *("--link-journal=no", "--console=pipe", "--capability=all"),
        "--system-call-filter=@keyring bpf add_key keyctl request_key",
        *(f"--bind={device}" for device in BINDS),
        *(f"--bind={folder}/own{name}:{name}" for name in OWN_FOLDERS),
        *INIT_ARGUMENTS,
    ]
    in_mount_namespace = " && ".join(
        [
            shlex.join(["mount", "-t", "overlay", namespace, "-o", layers, f"{folder}/root"]),
            f"exec {shlex.join(nspawn)}",
        ]
    )
    router = config.router_namespace
    wires = [wire for wire, _name, _address in interfaces(machine)]
    tuned = {name.format(wire=wire): value for wire in wires for name, value in WIRE_SETTINGS.items()}
    laying = "\n".join(f"    ip -netns {router} {command}" for command in wiring(config, machine))
    cutting = "\n".join(f"    ip -netns {router} link delete {wire} 2>/dev/null || true" for wire in wires)
    waiting = f"sleep {seconds:g}  # as firmware and boot loader take their time" if seconds else ":"
    groups = " ".join(shlex.quote(str(path)) for path in group.folders)
    return f"""\
#!/bin/sh
# Keeps droplet {machine.id} running until it is powered off: rendered by the lab, run detached from it.
set -eu
exec </dev/null >>{shlex.quote(f"{folder}/console.log")} 2>&1

enter() {{  # a cgroup in each hierarchy, without what the last boot left below; its processes are this host's
    for group in {groups}; do
        find "$group/$1" -mindepth 1 -depth -type d -delete 2>/dev/null || true
        mkdir -p "$group/$1"
        echo 0 >"$group/$1/cgroup.procs"
    done
}}

wire() {{
    ip netns add {namespace}
    ip netns exec {namespace} sh -c {_writing(HOST_SETTINGS)}
{laying}
    ip netns exec {router} sh -c {_writing(tuned)}
}}

unwire() {{  # the wires first: they go at once, a namespace's in its own time
{cutting}
    ip netns delete {namespace} 2>/dev/null || true
}}

enter keeper
while :; do
    unwire
    wire
    {waiting}
    code=0
    # The keyring of who started the lab is not the host's; nor is its environment.
    (
        enter host
        exec env -i PATH="$PATH" SYSTEMD_NSPAWN_API_VFS_WRITABLE=network \\
            unshare --mount --propagation private sh -c {shlex.quote(in_mount_namespace)}
    ) || code=$?
    [ "$code" -eq {_REBOOT} ] || break
done
unwire
exit "$code"
"""


def _writing(settings: Mapping[str, str]) -> str:
    return shlex.quote("; ".join(f"echo {value} >/proc/sys/net/{name}" for name, value in settings.items()))
