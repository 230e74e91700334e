"""Requirements of this machine, checked before anything is made."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lab.config import LabConfig
from lab.hosts.cgroups import Group
from lab.hosts.commands import missing, remedy, run
from lab.interfaces import MachineError

_FREE_BYTES = 1 << 30
_BRIDGES = Path("/proc/sys/net/bridge")


def check(config: LabConfig) -> None:
    """Raise `MachineError` with a remedy for the first missing requirement."""
    if os.geteuid() != 0:
        raise MachineError("the lab makes network namespaces and boots hosts: it must be run as root (`sudo`)")
    if lacking := missing():
        raise MachineError(f"missing {', '.join(lacking)}: {'; '.join(remedy(program) for program in lacking)}")
    for root in Group(config.name).roots:
        if not os.access(root, os.W_OK):
            raise MachineError(
                f"hosts get control groups of their own, and {root} cannot be written to: is this a privileged machine?"
            )
    if not _BRIDGES.exists():
        raise MachineError(
            "pods of one host talk over a bridge, and this kernel shows no packet filter what passes there: "
            "`modprobe br_netfilter`"
        )
    free = shutil.disk_usage(config.directory).free
    if free < _FREE_BYTES:
        raise MachineError(
            f"{free >> 20} MiB are free in {config.directory}, and hosts need at least {_FREE_BYTES >> 20}: make room"
        )
    _check_overlay(config)


def _check_overlay(config: LabConfig) -> None:
    """Mount a disk like a host's, in a namespace that ends with the command."""
    folder = config.directory / ".overlay-check"
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("lower", "upper", "work", "root"):
        (folder / name).mkdir(parents=True)
    layers = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
    try:
        run(
            "trying an overlay mount",
            *("unshare", "--mount", "--propagation", "private"),
            *("mount", "-t", "overlay", "overlay", "-o", layers, f"{folder}/root"),
        )
    except MachineError as error:
        raise MachineError(
            f"hosts' disks cannot be mounted in {config.directory}: {error}. Is this a privileged machine whose kernel "
            "has overlayfs (`modprobe overlay`), and the directory on a local file system that is not an overlay?"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
