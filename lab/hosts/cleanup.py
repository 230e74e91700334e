"""Removal of everything that the kernel holds of a lab, whatever process made it and however that process ended."""

from __future__ import annotations

from lab.config import LabConfig
from lab.hosts.cgroups import Group
from lab.hosts.network import Network


def clear(config: LabConfig) -> None:
    """End all processes of the lab's hosts and take its network down; disks and account stay."""
    group = Group(config.name)
    group.kill()
    network = Network(config)
    for machine_id in network.host_namespaces():
        network.cut(machine_id)
    network.down()
    group.remove()
