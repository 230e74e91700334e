"""`./triplane etcdctl`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import NoReturn

from launcher import health
from launcher.access import certify, ssh_command
from launcher.context import Context, become
from launcher.errors import LauncherError
from launcher.live import cluster, droplets
from model import paths, ports


def etcdctl(context: Context, arguments: Sequence[str]) -> NoReturn:
    """Run etcdctl on the first etcd host that is on."""
    outputs = cluster(context)
    power = droplets(context)
    members = [host for host in outputs["hosts"] if "etcd" in host["roles"]]
    running = [host for host in members if power.get(host["droplet"]) == "active"]
    if not running:
        raise LauncherError("no etcd host is powered on: ./triplane status")
    script = (
        f"set -a; . {paths.ETCD_CTL_ENVIRONMENT}; {_endpoints(arguments)}set +a; "
        f'program=$({health.program_of("etcd")}); exec "${{program%/*}}/etcdctl" {shlex.join(arguments)}'
    )
    certify(context.workspace)
    become(ssh_command(context.workspace, outputs, running[0], [script]))


def _endpoints(arguments: Sequence[str]) -> str:
    """Shell that sets the endpoints if the command is not for all members; etcdctl refuses two settings of them."""
    if any(word.split("=")[0] == "--endpoints" for word in arguments):
        return "unset ETCDCTL_ENDPOINTS; "
    if "snapshot" in arguments:  # a snapshot is of one member
        return f"ETCDCTL_ENDPOINTS=https://127.0.0.1:{ports.ETCD_CLIENT.number}; "
    return ""
