"""kube-proxy: makes the addresses of services work on a host."""

from __future__ import annotations

from urllib.parse import urlsplit

from model import flags, paths, ports
from model.certificates import Leaf, kubernetes_client
from model.cluster import Cluster
from model.documents import as_yaml
from model.files import END_OF_FILE
from model.flags import FlagRules, arguments
from model.secrets import Kubeconfig, SecretFile
from model.service import Binaries, Health, Service, define
from model.steps import unit
from model.topology import KUBELET_ROLES, HostSpec, api_service_address

NAME = UNIT = "kube-proxy"
ROLES = tuple(KUBELET_ROLES)
HEALTH = Health(url=f"http://127.0.0.1:{ports.KUBE_PROXY_HEALTH.number}/healthz")
CONFIGURATION = "/etc/kubernetes/kube-proxy.yaml"
KUBECONFIG = "/etc/kubernetes/kube-proxy.kubeconfig"
OWN_PATHS = (KUBECONFIG, CONFIGURATION, *paths.program("kubernetes", NAME), paths.unit(UNIT))

FLAG_RULES = FlagRules(
    owned={
        "config": flags.PATHS,
        "kubeconfig": flags.CERTIFICATES,
        "hostname-override": flags.NAMES,
        "cluster-cidr": "triplane:podCidr",
    },
    read=("v", "vmodule", "logging-format", "log-flush-frequency"),
)
"""Its file replaces every flag except those of logging (kubernetes, cmd/kube-proxy/app/options.go, Complete)."""


def client(host: HostSpec) -> Leaf:
    """The user that Kubernetes' own role bindings know (docs/reference/access-authn-authz/rbac)."""
    return kubernetes_client(f"kube-proxy-{host.name}", "system:kube-proxy")


def secrets(cluster: Cluster, host: HostSpec) -> tuple[SecretFile, ...]:
    """Client certificate."""
    return (SecretFile(path=KUBECONFIG, content=Kubeconfig(client(host), cluster.api_url)),)


def configuration(cluster: Cluster, host: HostSpec) -> str:
    """kube-proxy's configuration (docs/reference/config-api/kube-proxy-config.v1alpha1); the step adds `mode`."""
    # Load balancers of a cloud controller manager call the health check from outside the host.
    health = "0.0.0.0" if cluster.cloud_controller else "127.0.0.1"  # noqa: S104 - who gets there is the firewalls' to say
    return as_yaml(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": KUBECONFIG},
            "hostnameOverride": host.node_name,
            "clusterCIDR": str(cluster.pods),
            "healthzBindAddress": f"{health}:{ports.KUBE_PROXY_HEALTH.number}",
            "metricsBindAddress": f"127.0.0.1:{ports.KUBE_PROXY_METRICS.number}",
            "bindAddressHardFail": True,
            # On every address of the host, including the public one: the firewalls decide who may connect.
            "nodePortAddresses": ["0.0.0.0/0"],
            "iptables": {"localhostNodePorts": False},
            # The kernel has sized its connection table by the host's memory: keep that size.
            "conntrack": {"maxPerCore": 0, "min": 0},
        }
    )


def service(cluster: Cluster, host: HostSpec) -> Service:
    """Run kube-proxy, and wait until services can be reached from this host."""
    return define(
        NAME,
        name=NAME,
        binaries=(Binaries(component="kubernetes", file=NAME, step=NAME),),
        files=(
            unit(
                NAME,
                UNIT,
                installed=cluster.installed("kubernetes"),
                arguments=arguments({"config": CONFIGURATION}, cluster.flags(NAME)),
            ),
        ),
        # The step writes it, with the mode that the host's packet filter supports.
        environment=(CONFIGURATION,),
        secrets=secrets(cluster, host),
        health=HEALTH,
        health_port=ports.KUBE_PROXY_HEALTH.number,
        mark=END_OF_FILE,
        configuration=configuration(cluster, host),
        configuration_path=CONFIGURATION,
        kubeconfig=KUBECONFIG,
        service_url=f"https://{api_service_address(cluster.services)}:{ports.HTTPS.number}",
        names=urlsplit(cluster.api_url).hostname,
    )
