"""Taking a role from a host that stays: its services, keys and data go, and the host's other roles do not notice."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from model import paths
from model.roles import Role
from model.services import cni, etcd, flannel
from model.services.registry import SERVICES
from model.steps import step
from model.topology import KUBELET_ROLES, HostSpec

UNINSTALL = "uninstall"
UNITS = PurePosixPath(paths.unit("any")).parent


class Job(StrEnum):
    """Services of a host that come and go together."""

    ETCD = "etcd"
    CONTROL_PLANE = "control-plane"
    NODE = "node"


ROLES = {Job.ETCD: {Role.ETCD}, Job.CONTROL_PLANE: {Role.KUBE_MASTER}, Job.NODE: set(KUBELET_ROLES)}
"""Job → roles that it belongs to. It ends when the host has none of them any more."""


def script(job: Job, *, host: HostSpec) -> str:
    """Stop the services of a job, and remove them with everything that only they need.

    A member's script refuses as long as etcd has the member. The text depends on no setting, so that a changed setting
    does not change it.
    """
    services = [service for service in SERVICES if {*service.ROLES} == ROLES[job]]
    own = [path for service in services for path in service.OWN_PATHS]
    # In the order to stop: each before those that it needs.
    units = [PurePosixPath(path) for path in reversed(own) if PurePosixPath(path).parent == UNITS]
    marks = dict.fromkeys(f"{paths.APPLIED}/{unit.stem}" for unit in units)
    return step(
        UNINSTALL,
        job=job,
        units_directory=UNITS,
        units=" ".join(unit.name for unit in units),
        paths=" ".join(own),
        marks=" ".join(marks),
        releases=paths.RELEASES,
        **_own(job, host),
    )


def _own(job: Job, host: HostSpec) -> dict[str, Any]:
    """Values of a job's own part of the script."""
    match job:
        case Job.ETCD:
            return {
                "data": etcd.DATA,
                "etcdctl_environment": paths.ETCD_CTL_ENVIRONMENT,
                # A host that loses etcd and stays has another role, and so is on the pod network.
                "members": flannel.MEMBERS,
                "member": host.name,
                "peer_url": host.etcd_peer_url,
            }
        case Job.NODE:
            return {"pod_network": cni.UNIT, "bridge": cni.BRIDGE, "overlay": flannel.INTERFACE}
        case Job.CONTROL_PLANE:
            return {}
