"""kube-controller-manager: the control loops of Kubernetes."""

from __future__ import annotations

from model import flags, paths, ports
from model.certificates import Authority, Leaf, kubernetes_client
from model.cluster import Cluster
from model.flags import TLS_CIPHER_SUITES, FlagRules, arguments
from model.roles import Role
from model.secrets import AuthorityKey, Kubeconfig, SecretFile, ServiceAccountKey, authority
from model.service import Binaries, Health, Service, define
from model.steps import control_plane_unit
from model.topology import HostSpec

NAME = UNIT = "kube-controller-manager"
ROLES = (Role.KUBE_MASTER,)
HEALTH = Health(url=f"https://127.0.0.1:{ports.CONTROLLER_MANAGER.number}/healthz")
KUBECONFIG = "/etc/kubernetes/controller-manager.kubeconfig"

DIRECTORY = "/etc/kubernetes/controller-manager"
OWN_PATHS = (DIRECTORY, KUBECONFIG, *paths.program("kubernetes", NAME), paths.unit(UNIT))

CA = paths.certificate(DIRECTORY, "ca")
SIGNING = (paths.certificate(DIRECTORY, "cluster-signing-ca"), paths.key(DIRECTORY, "cluster-signing-ca"))
FRONT_PROXY_CA = paths.certificate(DIRECTORY, "front-proxy-ca")
SERVICE_ACCOUNT_KEY = paths.key(DIRECTORY, "service-account")

FLAG_RULES = FlagRules(
    owned={
        **dict.fromkeys(("root-ca-file", "service-account-private-key-file"), flags.CERTIFICATES),
        **dict.fromkeys(("cluster-signing-cert-file", "cluster-signing-key-file"), flags.CERTIFICATES),
        **dict.fromkeys(("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"), flags.CERTIFICATES),
        **dict.fromkeys(("bind-address", "secure-port"), flags.ADDRESSES),
        "cluster-cidr": "triplane:podCidr",
        "service-cluster-ip-range": "triplane:serviceCidr",
    },
    removed={
        **dict.fromkeys(("address", "port"), flags.INSECURE_PORT),
        **dict.fromkeys(("enable-taint-manager", "pod-eviction-timeout"), "went in Kubernetes 1.27"),
    },
)


def client(host: HostSpec) -> Leaf:
    """The user that Kubernetes' own role bindings know (docs/reference/access-authn-authz/rbac)."""
    return kubernetes_client(f"controller-manager-{host.name}", "system:kube-controller-manager")


def secrets(cluster: Cluster, host: HostSpec) -> tuple[SecretFile, ...]:
    """Each controller manager calls the API server of its own master."""
    return (
        SecretFile(path=KUBECONFIG, content=Kubeconfig(client(host), cluster.api_url_of(host))),
        authority(CA, Authority.KUBERNETES),
        authority(SIGNING[0], Authority.CLUSTER_SIGNING),
        SecretFile(path=SIGNING[1], content=AuthorityKey(Authority.CLUSTER_SIGNING)),
        authority(FRONT_PROXY_CA, Authority.FRONT_PROXY),
        SecretFile(path=SERVICE_ACCOUNT_KEY, content=ServiceAccountKey()),
    )


def own_flags(cluster: Cluster) -> dict[str, str]:
    """The controller manager's flags (docs/reference/command-line-tools-reference/kube-controller-manager)."""
    return {
        "kubeconfig": KUBECONFIG,
        "authentication-kubeconfig": KUBECONFIG,
        "authorization-kubeconfig": KUBECONFIG,
        "bind-address": "127.0.0.1",
        "secure-port": str(ports.CONTROLLER_MANAGER.number),
        "tls-min-version": "VersionTLS12",
        "tls-cipher-suites": TLS_CIPHER_SUITES,
        "leader-elect": "true",
        "cluster-name": cluster.name,
        "cluster-cidr": str(cluster.pods),
        "service-cluster-ip-range": str(cluster.services),
        # flannel leases pod subnets.
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


def service(cluster: Cluster, host: HostSpec) -> Service:
    """Run the controller manager, and wait until it is healthy."""
    return define(
        "service",
        name=NAME,
        binaries=(Binaries(component="kubernetes", file=NAME, step=NAME),),
        files=(
            control_plane_unit(
                UNIT,
                description="kube-controller-manager, the control loops of Kubernetes",
                installed=cluster.installed("kubernetes"),
                arguments=arguments(own_flags(cluster), cluster.flags(NAME)),
            ),
        ),
        secrets=secrets(cluster, host),
        health=HEALTH,
        names=host.private_name,
        port=ports.CONTROLLER_MANAGER.number,
    )
