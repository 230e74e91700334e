"""kube-controller-manager."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network

from model import paths, ports
from model.flags import TLS_CIPHER_SUITES, arguments
from model.steps import step, unit
from model.topology import Node

NAME = "kube-controller-manager"
DIRECTORY = "/etc/kubernetes/controller-manager"

CA = paths.certificate(DIRECTORY, "ca")
SIGNING = (paths.certificate(DIRECTORY, "cluster-signing-ca"), paths.key(DIRECTORY, "cluster-signing-ca"))
FRONT_PROXY_CA = paths.certificate(DIRECTORY, "front-proxy-ca")
SERVICE_ACCOUNT_KEY = paths.key(DIRECTORY, "service-account")


def flags(*, cluster: str, pods: IPv4Network, services: IPv4Network) -> dict[str, str]:
    """The controller manager's flags (docs/reference/command-line-tools-reference/kube-controller-manager)."""
    return {
        "kubeconfig": paths.CONTROLLER_MANAGER_KUBECONFIG,
        "authentication-kubeconfig": paths.CONTROLLER_MANAGER_KUBECONFIG,
        "authorization-kubeconfig": paths.CONTROLLER_MANAGER_KUBECONFIG,
        "bind-address": "127.0.0.1",
        "secure-port": str(ports.CONTROLLER_MANAGER.number),
        "tls-min-version": "VersionTLS12",
        "tls-cipher-suites": TLS_CIPHER_SUITES,
        "leader-elect": "true",
        "cluster-name": cluster,
        "cluster-cidr": str(pods),
        "service-cluster-ip-range": str(services),
        # Pod subnets are flannel's to lease.
        "allocate-node-cidrs": "false",
        "cluster-signing-cert-file": SIGNING[0],
        "cluster-signing-key-file": SIGNING[1],
        "root-ca-file": CA,
        "requestheader-client-ca-file": FRONT_PROXY_CA,
        "service-account-private-key-file": SERVICE_ACCOUNT_KEY,
        "use-service-account-credentials": "true",
        "terminated-pod-gc-threshold": "1000",
        "profiling": "false",
    }


def script(
    *, node: Node, cluster: str, pods: IPv4Network, services: IPv4Network, version: str, extra: Mapping[str, str]
) -> str:
    """Run the controller manager, until it is healthy."""
    files = (
        unit(
            "control-plane",
            NAME,
            name=NAME,
            description="kube-controller-manager, the control loops of Kubernetes",
            type="exec",
            environment_files=(),
            installed=paths.installed("kubernetes", version),
            arguments=arguments(flags(cluster=cluster, pods=pods, services=services), extra),
            stop_seconds=None,
            logs=None,
            capabilities="",
        ),
    )
    return step(
        "service",
        name=NAME,
        files=files,
        # Its serving certificate is its own, made anew at each start; the question does not leave the host.
        trust="--insecure",
        health_url=f"https://127.0.0.1:{ports.CONTROLLER_MANAGER.number}/healthz",
        names=node.private_name,
        port=ports.CONTROLLER_MANAGER.number,
        depends_on=" ".join(
            (
                *(file.path for file in files),
                paths.CONTROLLER_MANAGER_KUBECONFIG,
                CA,
                *SIGNING,
                FRONT_PROXY_CA,
                SERVICE_ACCOUNT_KEY,
            )
        ),
    )
