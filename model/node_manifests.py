"""What kubelet and kube-proxy read, as objects until the last moment."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Network

from model import paths, ports
from model.certificates import CLUSTER_DOMAIN
from model.flags import TLS_CIPHER_SUITES
from model.manifests import as_yaml
from model.roles import Role
from model.topology import Node, dns_service_address

KUBELET_CA = paths.certificate(paths.KUBELET_PKI, "ca")
KUBELET_SERVING = (paths.certificate(paths.KUBELET_PKI, "serving"), paths.key(paths.KUBELET_PKI, "serving"))

KERNEL = {
    "vm.overcommit_memory": 1,
    "vm.panic_on_oom": 0,
    "kernel.panic": 10,
    "kernel.panic_on_oops": 1,
    "kernel.keys.root_maxkeys": 1_000_000,
    "kernel.keys.root_maxbytes": 25_000_000,
}
"""What a kubelet wants of the kernel, and checks where it may not set it (kubernetes, pkg/kubelet/cm,
setupKernelTunables)."""

# Processor (thousandths) and memory (MiB) that pods do not get, by what else runs on a host: what those programs take
# in a small cluster, and room to grow.
_FOR_EVERY_NODE = (100, 256)
_FOR_ROLE = {Role.ETCD: (100, 256), Role.KUBE_MASTER: (300, 768), Role.KUBE_NODE: (0, 0)}


def kubelet_configuration(*, node: Node, services: IPv4Network) -> str:
    """A kubelet's configuration (docs/reference/config-api/kubelet-config.v1beta1), but for what the runtime tells.

    `streamingConnectionIdleTimeout` (CIS 4.2.5) is not among it: no release that can be chosen heeds it any more.
    """
    return as_yaml(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": f"unix://{paths.CONTAINERD_SOCKET}",
            "staticPodPath": paths.STATIC_PODS,
            "clusterDomain": CLUSTER_DOMAIN,
            "clusterDNS": [str(dns_service_address(services))],
            "resolvConf": paths.POD_RESOLV_CONF,
            "registerWithTaints": [
                {"key": taint.key, **({"value": taint.value} if taint.value else {}), "effect": taint.effect}
                for taint in node.taints
            ],
            # Who may ask it: the API servers, whom the Kubernetes CA signs for, and tokens that an API server knows.
            "port": ports.KUBELET.number,
            "readOnlyPort": 0,
            "healthzBindAddress": "127.0.0.1",
            "healthzPort": ports.KUBELET_HEALTH.number,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": KUBELET_CA},
            },
            "authorization": {"mode": "Webhook"},
            "enableProfilingHandler": False,
            "tlsCertFile": KUBELET_SERVING[0],
            "tlsPrivateKeyFile": KUBELET_SERVING[1],
            "tlsMinVersion": "VersionTLS12",
            "tlsCipherSuites": TLS_CIPHER_SUITES.split(","),
            "rotateCertificates": True,
            "seccompDefault": True,
            "podPidsLimit": 4096,
            "protectKernelDefaults": True,
            "makeIPTablesUtilChains": True,
            "eventRecordQPS": 50,
            "serializeImagePulls": False,
            "maxParallelImagePulls": 4,
            # A host that is told to shut down ends its pods first; those that the node itself needs go last.
            "shutdownGracePeriod": "30s",
            "shutdownGracePeriodCriticalPods": "10s",
            "kubeReserved": _reserved(node.roles),
            "systemReserved": {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "1Gi"},
        }
    )


def _reserved(roles: Collection[Role]) -> dict[str, str]:
    shares = [_FOR_EVERY_NODE, *(_FOR_ROLE[role] for role in roles)]
    return {
        "cpu": f"{sum(cpu for cpu, _ in shares)}m",
        "memory": f"{sum(memory for _, memory in shares)}Mi",
        "ephemeral-storage": "1Gi",
    }


def kube_proxy_configuration(*, node: Node, pods: IPv4Network, cloud_controller: bool = False) -> str:
    """kube-proxy's configuration (docs/reference/config-api/kube-proxy-config.v1alpha1), but for `mode`: the host's.

    `cloud_controller`: load balancers that a cloud controller manager makes ask for the health, from other hosts.
    """
    health = "0.0.0.0" if cloud_controller else "127.0.0.1"  # noqa: S104 - who gets there is the firewalls' to say
    return as_yaml(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": paths.KUBE_PROXY_KUBECONFIG},
            "hostnameOverride": node.node_name,
            "clusterCIDR": str(pods),
            "healthzBindAddress": f"{health}:{ports.KUBE_PROXY_HEALTH.number}",
            "metricsBindAddress": f"127.0.0.1:{ports.KUBE_PROXY_METRICS.number}",
            "bindAddressHardFail": True,
            # On every address of the host, the public one too: who comes that far is the firewalls' to say.
            "nodePortAddresses": ["0.0.0.0/0"],
            "iptables": {"localhostNodePorts": False},
            # The kernel has sized its table of connections by the host's memory: let it be.
            "conntrack": {"maxPerCore": 0, "min": 0},
        }
    )
