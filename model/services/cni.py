"""The pod network on a host: CNI plugins that take their subnet and MTU from flannel's lease."""

from __future__ import annotations

import json

from model import paths
from model.assets import render
from model.files import HostFile
from model.steps import unit

UNIT = "pod-network"
NETWORK = "flannel"
BRIDGE = "cni0"
OWN_PATHS = (
    paths.CNI_CONFIGURATION,
    paths.POD_NETWORK,
    paths.POD_NETWORK_TEMPLATE,
    paths.unit(UNIT),
    paths.path_unit(UNIT),
)


def configuration() -> str:
    """A CNI network (CNI specification 1.0.0, section 1), with @SUBNET@ and @MTU@ in place of the lease's values.

    flannel masquerades traffic that leaves the cluster, so the bridge does not (containernetworking.github.io, bridge).
    """
    plugins = [
        {
            "type": "bridge",
            "bridge": BRIDGE,
            "isDefaultGateway": True,
            "forceAddress": True,
            "hairpinMode": True,
            "mtu": "@MTU@",
            "ipam": {"type": "host-local", "ranges": [[{"subnet": "@SUBNET@"}]]},
        },
        # Host ports of pods, with the packet filter that flannel and kube-proxy use too.
        {"type": "portmap", "capabilities": {"portMappings": True}, "backend": "nftables"},
    ]
    return json.dumps({"cniVersion": "1.0.0", "name": NETWORK, "plugins": plugins}, indent=2) + "\n"


def files(*, ctr: str) -> tuple[HostFile, ...]:
    """Files that write that network for flannel's current lease, at boot and for each new lease."""
    return (
        HostFile(path=paths.POD_NETWORK_TEMPLATE, content=configuration(), mode="644"),
        HostFile(
            path=paths.POD_NETWORK,
            content=render(
                "pod-network.sh.j2",
                lease=paths.FLANNEL_SUBNET,
                template=paths.POD_NETWORK_TEMPLATE,
                directory=paths.CNI_ETC,
                drafts=paths.CNI,
                network=paths.CNI_CONFIGURATION,
                bridge=BRIDGE,
                addresses=f"{paths.CNI_LEASES}/{NETWORK}",
                ctr=ctr,
            ),
            mode="755",
        ),
        unit(
            UNIT,
            UNIT,
            script=paths.POD_NETWORK,
            lease=paths.FLANNEL_SUBNET,
            # systemd creates it, and the unit may write to nothing else.
            directory=paths.CNI.removeprefix("/etc/"),
        ),
        HostFile(path=paths.path_unit(UNIT), content=render("units/pod-network.path.j2", lease=paths.FLANNEL_SUBNET)),
    )
