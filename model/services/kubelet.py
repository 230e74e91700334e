"""kubelet: makes a host a Kubernetes node."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from model import flags, paths, ports
from model.certificates import CLUSTER_DOMAIN, NODE_USER, SERVER_USES, Authority, Leaf, kubernetes_client
from model.cluster import Cluster
from model.documents import as_yaml
from model.files import HostFile
from model.flags import TLS_CIPHER_SUITES, FlagRules, arguments
from model.roles import Role
from model.secrets import Kubeconfig, SecretFile, authority, pair
from model.service import HOST_ENVIRONMENT, Binaries, Health, Service, define
from model.steps import unit
from model.topology import KUBELET_ROLES, HostSpec, dns_service_address

NAME = UNIT = "kubelet"
ROLES = tuple(KUBELET_ROLES)
HEALTH = Health(url=f"http://127.0.0.1:{ports.KUBELET_HEALTH.number}/healthz")
PROVIDER = "digitalocean://"
"""Prefix of a node's provider id, before the droplet's id."""

CONFIGURATION = "/etc/kubernetes/kubelet.yaml"
DROP_INS = "/etc/kubernetes/kubelet.conf.d"
"""Directory for an image's vendor or an operator: `*.conf`, read after the configuration."""
KUBECONFIG = "/etc/kubernetes/kubelet.kubeconfig"
PKI = "/etc/kubernetes/kubelet"
CA = paths.certificate(PKI, "ca")
SERVING = (paths.certificate(PKI, "serving"), paths.key(PKI, "serving"))
RENEWED = "/var/lib/kubelet/pki"
"""Directory of the client certificates that a kubelet requests itself."""
STATIC_PODS = "/etc/kubernetes/manifests"
POD_RESOLV_CONF = "/etc/kubernetes/resolv.conf"
"""A link to the file with DNS servers that pods can reach too."""
SYSCTLS = "/etc/sysctl.d/80-triplane-kubelet.conf"
OWN_PATHS = (
    "/var/lib/kubelet",
    PKI,
    KUBECONFIG,
    CONFIGURATION,
    POD_RESOLV_CONF,
    SYSCTLS,
    *paths.program("kubernetes", NAME),
    paths.unit(UNIT),
)
"""Static pods and drop-ins are not among them: an operator or an image's vendor put them there."""

KERNEL = {
    "vm.overcommit_memory": 1,
    "vm.panic_on_oom": 0,
    "kernel.panic": 10,
    "kernel.panic_on_oops": 1,
    "kernel.keys.root_maxkeys": 1_000_000,
    "kernel.keys.root_maxbytes": 25_000_000,
}
"""Kernel settings that a kubelet needs; it checks them if it may not set them (kubernetes, pkg/kubelet/cm,
setupKernelTunables)."""

# CPU (thousandths) and memory (MiB) that pods do not get, because other programs run on the host: the use of those
# programs in a small cluster, and room to grow.
_FOR_EVERY_NODE = (100, 256)
RESERVED = {Role.ETCD: (100, 256), Role.KUBE_MASTER: (300, 768), Role.KUBE_NODE: (0, 0)}
"""Role → thousandths of a CPU and MiB of memory that its services take."""

_ACCESS = "the kubelet's authentication and authorization, which the API server decides"
_DOCKERSHIM = "was part of dockershim, which went in Kubernetes 1.24"
FLAG_RULES = FlagRules(
    owned={
        **dict.fromkeys(("kubeconfig", "bootstrap-kubeconfig", "cert-dir", "client-ca-file"), flags.CERTIFICATES),
        **dict.fromkeys(("tls-cert-file", "tls-private-key-file"), flags.CERTIFICATES),
        **dict.fromkeys(("rotate-certificates", "rotate-server-certificates"), flags.CERTIFICATES),
        "cluster-domain": flags.CERTIFICATES,
        **dict.fromkeys(("address", "port", "node-ip", "pod-cidr", "cluster-dns"), flags.ADDRESSES),
        **dict.fromkeys(("healthz-bind-address", "healthz-port"), flags.ADDRESSES),
        **dict.fromkeys(("hostname-override", "register-node"), flags.NAMES),
        **dict.fromkeys(("node-labels", "register-with-taints"), "the pools' labels, taints and roles"),
        **dict.fromkeys(("anonymous-auth", "authorization-mode", "authentication-token-webhook"), _ACCESS),
        **dict.fromkeys(("read-only-port", "enable-server"), _ACCESS),
        **dict.fromkeys(("config", "config-dir", "root-dir", "pod-manifest-path"), flags.PATHS),
        **dict.fromkeys(("container-runtime-endpoint", "image-service-endpoint"), flags.PATHS),
        "cgroup-driver": "containerd, whom the kubelet asks",
        "cloud-provider": "triplane:cloudController",
        "provider-id": "the droplet's id",
    },
    removed={
        **dict.fromkeys(("network-plugin", "network-plugin-mtu", "cni-bin-dir", "cni-conf-dir"), _DOCKERSHIM),
        **dict.fromkeys(("cni-cache-dir", "non-masquerade-cidr", "docker-endpoint"), _DOCKERSHIM),
        "image-pull-progress-deadline": _DOCKERSHIM,
        "container-runtime": "went in Kubernetes 1.27, when remote was the only one left",
        "pod-infra-container-image": "went in Kubernetes 1.35: containerd runs the image of triplane:images.pause",
        "cloud-config": "went with the cloud providers to their controller managers",
        "allow-privileged": "went in Kubernetes 1.15: admission decides about privileged pods",
        "keep-terminated-pod-volumes": "went in Kubernetes 1.31",
        **dict.fromkeys(("cadvisor-port", "require-kubeconfig", "register-schedulable"), "went long ago"),
        **dict.fromkeys(("azure-container-registry-config", "master-service-namespace"), "went long ago"),
    },
)


def client(host: HostSpec) -> Leaf:
    """The user and the group that the Node authorizer and NodeRestriction limit to this one node and its pods."""
    return kubernetes_client(f"kubelet-client-{host.name}", f"{NODE_USER}{host.node_name}", "system:nodes")


def serving(host: HostSpec) -> Leaf:
    """A kubelet's serving certificate, from the authority that also signs kubelets' own requests."""
    return Leaf(
        name=f"kubelet-serving-{host.name}",
        authority=Authority.CLUSTER_SIGNING,
        common_name=host.node_name,
        dns_names=(host.node_name,),
        uses=SERVER_USES,
    )


def secrets(cluster: Cluster, host: HostSpec) -> tuple[SecretFile, ...]:
    """Client and serving certificate."""
    return (
        SecretFile(path=KUBECONFIG, content=Kubeconfig(client(host), cluster.api_url)),
        authority(CA, Authority.KUBERNETES),
        *pair(SERVING, serving(host)),
    )


def own_flags(cluster: Cluster, host: HostSpec) -> dict[str, str]:
    """Flags without a field in the configuration file (docs/reference/command-line-tools-reference/kubelet).

    If a cloud controller manager initializes nodes, a new node has a taint until that is done.
    """
    return {
        "config": CONFIGURATION,
        "config-dir": DROP_INS,
        "kubeconfig": KUBECONFIG,
        # A name that resolves to the VPC address: API servers call it by this name, and its certificate has no other.
        "hostname-override": host.node_name,
        # By default this is the address of the default route's interface, which is the public one.
        "node-ip": "${PRIVATE_ADDRESS}",
        # As DigitalOcean's controllers write it (digitalocean-cloud-controller-manager, docs/getting-started.md).
        "provider-id": f"{PROVIDER}${{DROPLET_ID}}",
        **({"cloud-provider": "external"} if cluster.cloud_controller else {}),
    }


def configuration(cluster: Cluster, host: HostSpec) -> str:
    """A kubelet's configuration (docs/reference/config-api/kubelet-config.v1beta1), without the runtime's settings.

    `streamingConnectionIdleTimeout` (CIS 4.2.5) is not in it: no supported release reads it.
    """
    return as_yaml(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": f"unix://{paths.CONTAINERD_SOCKET}",
            "staticPodPath": STATIC_PODS,
            "clusterDomain": CLUSTER_DOMAIN,
            "clusterDNS": [str(dns_service_address(cluster.services))],
            "resolvConf": POD_RESOLV_CONF,
            "registerWithTaints": [
                {"key": taint.key, **({"value": taint.value} if taint.value else {}), "effect": taint.effect}
                for taint in host.taints
            ],
            # Callers: API servers, with certificates of the Kubernetes CA, and tokens that an API server accepts.
            "port": ports.KUBELET.number,
            "readOnlyPort": 0,
            "healthzBindAddress": "127.0.0.1",
            "healthzPort": ports.KUBELET_HEALTH.number,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": CA},
            },
            "authorization": {"mode": "Webhook"},
            "enableProfilingHandler": False,
            "tlsCertFile": SERVING[0],
            "tlsPrivateKeyFile": SERVING[1],
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
            # When a host is told to shut down, it ends its pods first; critical pods end last.
            "shutdownGracePeriod": "30s",
            "shutdownGracePeriodCriticalPods": "10s",
            "kubeReserved": _reserved(host.roles),
            "systemReserved": {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "1Gi"},
        }
    )


def _reserved(roles: Collection[Role]) -> dict[str, str]:
    shares = [_FOR_EVERY_NODE, *(RESERVED[role] for role in roles)]
    return {
        "cpu": f"{sum(cpu for cpu, _ in shares)}m",
        "memory": f"{sum(memory for _, memory in shares)}Mi",
        "ephemeral-storage": "1Gi",
    }


def service(cluster: Cluster, host: HostSpec) -> Service:
    """Run the kubelet, and wait until its node is Ready."""
    sysctls = HostFile(
        path=SYSCTLS,
        content="".join(f"{name} = {value}\n" for name, value in KERNEL.items()),
        mode="644",
    )
    return define(
        NAME,
        name=NAME,
        binaries=(Binaries(component="kubernetes", file=NAME, step=NAME),),
        settled=(sysctls,),
        files=(
            HostFile(path=CONFIGURATION, content=configuration(cluster, host)),
            unit(
                NAME,
                UNIT,
                host_environment=paths.HOST_ENVIRONMENT,
                installed=cluster.installed("kubernetes"),
                arguments=arguments(own_flags(cluster, host), cluster.flags(NAME)),
            ),
        ),
        environment=HOST_ENVIRONMENT,
        secrets=secrets(cluster, host),
        health=HEALTH,
        sysctls=sysctls.path,
        static_pods=STATIC_PODS,
        drop_ins=DROP_INS,
        resolv_conf=POD_RESOLV_CONF,
        renewed=RENEWED,
        kubeconfig=KUBECONFIG,
        server=cluster.api_url,
        node=host.node_name,
        names=urlsplit(cluster.api_url).hostname,
        port=ports.KUBELET.number,
    )
