"""kube-scheduler: chooses a node for every pod."""

from __future__ import annotations

from model import flags, paths, ports
from model.certificates import Leaf, kubernetes_client
from model.cluster import Cluster
from model.documents import as_yaml
from model.files import HostFile
from model.flags import TLS_CIPHER_SUITES, FlagRules, arguments
from model.roles import Role
from model.secrets import Kubeconfig, SecretFile
from model.service import Binaries, Health, Service, define
from model.steps import control_plane_unit
from model.topology import HostSpec

NAME = UNIT = "kube-scheduler"
ROLES = (Role.KUBE_MASTER,)
HEALTH = Health(url=f"https://127.0.0.1:{ports.SCHEDULER.number}/healthz")
KUBECONFIG = "/etc/kubernetes/scheduler.kubeconfig"
CONFIGURATION = "/etc/kubernetes/scheduler.yaml"
OWN_PATHS = (KUBECONFIG, CONFIGURATION, *paths.program("kubernetes", NAME), paths.unit(UNIT))

FLAG_RULES = FlagRules(
    owned={
        **dict.fromkeys(("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"), flags.CERTIFICATES),
        **dict.fromkeys(("bind-address", "secure-port"), flags.ADDRESSES),
        "config": flags.PATHS,
    },
    removed=dict.fromkeys(("address", "port"), flags.INSECURE_PORT),
)


def client(host: HostSpec) -> Leaf:
    """The user that Kubernetes' own role bindings know (docs/reference/access-authn-authz/rbac)."""
    return kubernetes_client(f"scheduler-{host.name}", "system:kube-scheduler")


def secrets(cluster: Cluster, host: HostSpec) -> tuple[SecretFile, ...]:
    """Each scheduler calls the API server of its own master."""
    return (SecretFile(path=KUBECONFIG, content=Kubeconfig(client(host), cluster.api_url_of(host))),)


def configuration() -> str:
    """The scheduler's configuration: its kubeconfig, and leader election."""
    return as_yaml(
        {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "clientConnection": {"kubeconfig": KUBECONFIG},
            "leaderElection": {"leaderElect": True},
            "enableProfiling": False,
        }
    )


def own_flags() -> dict[str, str]:
    """The scheduler's flags (docs/reference/command-line-tools-reference/kube-scheduler)."""
    return {
        "config": CONFIGURATION,
        "authentication-kubeconfig": KUBECONFIG,
        "authorization-kubeconfig": KUBECONFIG,
        "bind-address": "127.0.0.1",
        "secure-port": str(ports.SCHEDULER.number),
        "tls-min-version": "VersionTLS12",
        "tls-cipher-suites": TLS_CIPHER_SUITES,
        # The file has this setting too, but the benchmark checks only the flag (CIS 1.4.1).
        "profiling": "false",
    }


def service(cluster: Cluster, host: HostSpec) -> Service:
    """Run the scheduler, and wait until it is healthy."""
    return define(
        "service",
        name=NAME,
        binaries=(Binaries(component="kubernetes", file=NAME, step=NAME),),
        files=(
            HostFile(path=CONFIGURATION, content=configuration()),
            control_plane_unit(
                UNIT,
                description="kube-scheduler, which finds a node for every pod",
                installed=cluster.installed("kubernetes"),
                arguments=arguments(own_flags(), cluster.flags(NAME)),
            ),
        ),
        secrets=secrets(cluster, host),
        health=HEALTH,
        names=host.private_name,
        port=ports.SCHEDULER.number,
    )
