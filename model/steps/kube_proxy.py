"""kube-proxy: services' addresses on a host."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network
from urllib.parse import urlsplit

from model import paths, ports
from model.files import END_OF_FILE
from model.flags import arguments
from model.node_manifests import kube_proxy_configuration
from model.steps import step, unit
from model.topology import Node, api_service_address

NAME = "kube-proxy"


def script(
    *,
    node: Node,
    pods: IPv4Network,
    services: IPv4Network,
    server: str,
    version: str,
    extra: Mapping[str, str],
    cloud_controller: bool = False,
) -> str:
    """Run kube-proxy until services can be reached from this host; `server` is the API's URL."""
    own = unit(
        NAME,
        NAME,
        installed=paths.installed("kubernetes", version),
        arguments=arguments({"config": paths.KUBE_PROXY_CONFIGURATION}, extra),
    )
    return step(
        NAME,
        files=(own,),
        mark=END_OF_FILE,
        configuration=kube_proxy_configuration(node=node, pods=pods, cloud_controller=cloud_controller),
        configuration_path=paths.KUBE_PROXY_CONFIGURATION,
        kubeconfig=paths.KUBE_PROXY_KUBECONFIG,
        service_url=f"https://{api_service_address(services)}:{ports.HTTPS.number}",
        names=urlsplit(server).hostname,
        health_port=ports.KUBE_PROXY_HEALTH.number,
        depends_on=" ".join((own.path, paths.KUBE_PROXY_CONFIGURATION, paths.KUBE_PROXY_KUBECONFIG)),
    )
