"""kubelet: a host as a node of Kubernetes."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network
from urllib.parse import urlsplit

from model import paths, ports
from model.files import HostFile
from model.flags import arguments
from model.node_manifests import KERNEL, KUBELET_CA, KUBELET_SERVING, kubelet_configuration
from model.steps import step, unit
from model.topology import Node

NAME = "kubelet"
PROVIDER = "digitalocean://"
"""What a node's provider id begins with; the droplet's id follows."""


def flags(node: Node, *, cloud_controller: bool) -> dict[str, str]:
    """What no configuration file takes (docs/reference/command-line-tools-reference/kubelet).

    `cloud_controller`: a cloud controller manager initializes nodes, and a new one has a taint until it has done so.
    """
    return {
        "config": paths.KUBELET_CONFIGURATION,
        "config-dir": paths.KUBELET_DROP_INS,
        "kubeconfig": paths.KUBELET_KUBECONFIG,
        # A name that resolves to the VPC address: what API servers call it by, and all that its certificate holds.
        "hostname-override": node.node_name,
        # The default route is the public interface's, and so would be the address.
        "node-ip": "${PRIVATE_ADDRESS}",
        # As DigitalOcean's controllers write it (digitalocean-cloud-controller-manager, docs/getting-started.md).
        "provider-id": f"{PROVIDER}${{DROPLET_ID}}",
        **({"cloud-provider": "external"} if cloud_controller else {}),
    }


def script(
    *,
    node: Node,
    services: IPv4Network,
    server: str,
    version: str,
    extra: Mapping[str, str],
    cloud_controller: bool = False,
) -> str:
    """Run the kubelet until its node is Ready; `server` is the API's URL."""
    sysctls = HostFile(
        path="/etc/sysctl.d/80-triplane-kubelet.conf",
        content="".join(f"{name} = {value}\n" for name, value in KERNEL.items()),
        mode="644",
    )
    files = (
        HostFile(path=paths.KUBELET_CONFIGURATION, content=kubelet_configuration(node=node, services=services)),
        unit(
            NAME,
            NAME,
            host_environment=paths.HOST_ENVIRONMENT,
            installed=paths.installed("kubernetes", version),
            arguments=arguments(flags(node, cloud_controller=cloud_controller), extra),
        ),
    )
    return step(
        NAME,
        files=(sysctls, *files),
        sysctls=sysctls.path,
        static_pods=paths.STATIC_PODS,
        drop_ins=paths.KUBELET_DROP_INS,
        resolv_conf=paths.POD_RESOLV_CONF,
        renewed=paths.KUBELET_RENEWED,
        kubeconfig=paths.KUBELET_KUBECONFIG,
        server=server,
        node=node.node_name,
        names=urlsplit(server).hostname,
        port=ports.KUBELET.number,
        health_port=ports.KUBELET_HEALTH.number,
        depends_on=" ".join(
            (
                *(file.path for file in files),
                paths.HOST_ENVIRONMENT,
                paths.KUBELET_KUBECONFIG,
                KUBELET_CA,
                *KUBELET_SERVING,
            )
        ),
    )
