"""A member of the etcd cluster."""

from __future__ import annotations

from typing import Any

from model import flags, paths, ports
from model.certificates import LOOPBACK, PEER_USES, SERVER_USES, Authority, Leaf, etcd_client
from model.cluster import Cluster
from model.files import HostFile
from model.flags import TLS_CIPHER_SUITES, FlagRules, arguments
from model.past import Origin
from model.roles import Role
from model.secrets import SecretFile, authority, pair
from model.service import HOST_ENVIRONMENT, Binaries, Health, Service, define
from model.steps import step, unit
from model.topology import HostSpec, Topology

NAME = UNIT = "etcd"
ROLES = (Role.ETCD,)
OWNER = "etcd:etcd"
LEAVE = "etcd-leave"
"""Step that lets the member's droplet go before it is replaced."""

DATA = "/var/lib/etcd"
PKI = "/etc/etcd/pki"
ENVIRONMENT = "/etc/etcd/etcd.env"
BOOTSTRAP = "/etc/etcd/bootstrap.env"
"""File with ETCD_INITIAL_*: only a member with an empty data directory reads it."""

HEALTHY_ONCE = "/var/lib/triplane/etcd-was-healthy"
"""Mark of a member that has been healthy since its data came."""
OWN_PATHS = (DATA, HEALTHY_ONCE, paths.versions(NAME), "/etc/etcd", paths.unit(UNIT))
"""Paths that the service has on its host and nothing else there needs, its data first. The same for every service."""

TRACES = ("/var/lib/kubelet/pki", paths.FLANNEL_SUBNET)
"""Files of a Kubernetes node: where they are, the cluster's etcd was founded before."""

PEER_CA = paths.certificate(PKI, "peer-ca")
CLIENT_CA = paths.certificate(PKI, "client-ca")
SERVER_CA = paths.certificate(PKI, "server-ca")
PEER = (paths.certificate(PKI, "peer"), paths.key(PKI, "peer"))
SERVER = (paths.certificate(PKI, "server"), paths.key(PKI, "server"))
CTL = (paths.certificate(PKI, "etcdctl"), paths.key(PKI, "etcdctl"))

FLAG_RULES = FlagRules(
    owned={
        **dict.fromkeys(("name", "initial-cluster", "initial-cluster-state", "initial-cluster-token"), flags.NAMES),
        **dict.fromkeys(("listen-client-urls", "listen-client-http-urls"), flags.ADDRESSES),
        **dict.fromkeys(("listen-peer-urls", "listen-metrics-urls"), flags.ADDRESSES),
        **dict.fromkeys(("advertise-client-urls", "initial-advertise-peer-urls"), flags.ADDRESSES),
        **dict.fromkeys(("cert-file", "key-file", "trusted-ca-file", "client-cert-auth"), flags.CERTIFICATES),
        **dict.fromkeys(("peer-cert-file", "peer-key-file", "peer-trusted-ca-file"), flags.CERTIFICATES),
        **dict.fromkeys(("peer-client-cert-auth", "auto-tls", "peer-auto-tls"), flags.CERTIFICATES),
        "data-dir": flags.PATHS,
        "config-file": "the environment file, which etcd would then not read",
    },
    removed={
        **dict.fromkeys(("enable-v2", "enable-v2v3"), "was for etcd's v2 API, which etcd 3.6 removed"),
        "proxy": "was for etcd's v2 proxy, which etcd 3.6 removed",
    },
    removed_prefixes={
        "experimental-": "is on its way out of etcd. Write it without experimental-, or as a feature-gates entry",
        "proxy-": "was for etcd's v2 proxy, which etcd 3.6 removed",
    },
)


def peer(host: HostSpec) -> Leaf:
    """A member's peer certificate; peers resolve the name and compare it with the caller's address."""
    return Leaf(
        name=f"etcd-peer-{host.name}",
        authority=Authority.ETCD_PEER,
        common_name=host.private_name,
        dns_names=(host.private_name,),
        uses=PEER_USES,
    )


def server(host: HostSpec) -> Leaf:
    """A member's serving certificate."""
    return Leaf(
        name=f"etcd-server-{host.name}",
        authority=Authority.ETCD_SERVER,
        common_name=host.private_name,
        dns_names=(host.private_name, "localhost"),
        addresses=(LOOPBACK,),
        uses=SERVER_USES,
    )


def secrets(_cluster: Cluster, host: HostSpec) -> tuple[SecretFile, ...]:
    """Authorities and two certificates of the member; and files for etcdctl on its host, which restart nothing."""
    return (
        authority(PEER_CA, Authority.ETCD_PEER, owner=OWNER),
        authority(CLIENT_CA, Authority.ETCD_CLIENT, owner=OWNER),
        authority(SERVER_CA, Authority.ETCD_SERVER, owner=OWNER, restarts=False),
        *pair(PEER, peer(host), owner=OWNER),
        *pair(SERVER, server(host), owner=OWNER),
        *pair(CTL, etcd_client("etcdctl", host), restarts=False),
    )


HEALTH = Health(
    command=f"set -a; . {paths.ETCD_CTL_ENVIRONMENT}; PATH=$directory:$PATH etcdctl endpoint health >/dev/null 2>&1"
)


def environment(cluster: Cluster, host: HostSpec) -> str:
    """ETCD_* settings of a member (etcd, op-guide/configuration)."""
    settings = {
        "name": host.name,
        "data-dir": DATA,
        "advertise-client-urls": host.etcd_client_url,
        "initial-advertise-peer-urls": host.etcd_peer_url,
        "client-cert-auth": "true",
        "trusted-ca-file": CLIENT_CA,
        "cert-file": SERVER[0],
        "key-file": SERVER[1],
        "peer-client-cert-auth": "true",
        "peer-trusted-ca-file": PEER_CA,
        "peer-cert-file": PEER[0],
        "peer-key-file": PEER[1],
        "tls-min-version": "TLS1.2",
        "cipher-suites": TLS_CIPHER_SUITES,
        "strict-reconfig-check": "true",
        # The gateway calls etcd with the serving certificate, which is not a client's; nothing needs the gateway.
        "enable-grpc-gateway": "false",
        "listen-metrics-urls": f"http://127.0.0.1:{ports.ETCD_METRICS.number}",
        # Takes HTTP off the client port. A member that serves both there ends its clients' calls halfway as it stops,
        # with errors that no client tries again (docs/decisions/the-leader-leaves-by-itself.md).
        "listen-client-http-urls": f"https://127.0.0.1:{ports.ETCD_HTTP.number}",
        **cluster.flags(NAME),
    }
    return "".join(f"ETCD_{name.upper().replace('-', '_')}={_quoted(value)}\n" for name, value in settings.items())


def _quoted(value: str) -> str:
    """Quote a value for systemd's environment files (systemd.exec(5), EnvironmentFile=)."""
    if not any(character in value for character in " '\"\\$`;#"):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
    return f'"{escaped}"'


def etcdctl_environment(topology: Topology) -> str:
    """Environment file of etcdctl: all members, and its certificate."""
    return (
        f"ETCDCTL_ENDPOINTS={','.join(topology.etcd_client_urls)}\n"
        f"ETCDCTL_CACERT={SERVER_CA}\nETCDCTL_CERT={CTL[0]}\nETCDCTL_KEY={CTL[1]}\n"
    )


def members(topology: Topology) -> str:
    """The member list as an environment file, for the services that are etcd's clients."""
    return f'ETCD_MEMBERS="{",".join(topology.etcd_client_urls)}"\n'


def origin(cluster: Cluster, host: HostSpec) -> Origin:
    """Say whether a member may found the cluster, and which former members it asks too."""
    return cluster.past.origin_of(host, cluster.topology.etcd)


def service(cluster: Cluster, host: HostSpec, *, first: bool) -> Service:
    """Configure the member, which creates or joins the cluster; `first` is false if it must not create one."""
    topology = cluster.topology
    others = [other.etcd_client_url for other in topology.etcd if other != host]
    begins = origin(cluster, host)
    installed = cluster.installed(NAME)
    listen = {
        "listen-peer-urls": f"https://${{PRIVATE_ADDRESS}}:{ports.ETCD_PEER.number}",
        # On a host that has its node's name, that name is 127.0.1.1: cloud-init writes a droplet's name to /etc/hosts.
        "listen-client-urls": ",".join(
            f"https://{address}:{ports.ETCD_CLIENT.number}"
            for address in ("${PRIVATE_ADDRESS}", "127.0.0.1", "127.0.1.1")
        ),
    }
    return define(
        NAME,
        name=NAME,
        binaries=(Binaries(component=NAME, file=NAME, step=NAME, links=("etcdctl", "etcdutl")),),
        settled=(HostFile(path=paths.ETCD_CTL_ENVIRONMENT, content=etcdctl_environment(topology)),),
        files=(
            HostFile(path=ENVIRONMENT, content=environment(cluster, host)),
            unit(
                NAME,
                UNIT,
                host_environment=paths.HOST_ENVIRONMENT,
                environment=ENVIRONMENT,
                bootstrap=BOOTSTRAP,
                installed=installed,
                arguments=arguments(listen, {}),
            ),
        ),
        environment=HOST_ENVIRONMENT,
        secrets=secrets(cluster, host),
        **_ctl(cluster, host),
        server_certificate=SERVER[0],
        peer_certificate=PEER[0],
        asked=",".join([*others, *begins.former]),
        first="yes" if first and begins.founds else "no",
        last="yes" if host == topology.etcd[-1] else "no",
        data=DATA,
        traces=" ".join(TRACES),
        token=f"{topology.cluster}-etcd",
        bootstrap=BOOTSTRAP,
        names=" ".join(member.private_name for member in topology.etcd),
        client_port=ports.ETCD_CLIENT.number,
        peer_port=ports.ETCD_PEER.number,
    )


def members_script(cluster: Cluster, host: HostSpec) -> str:
    """Take the members out that the settings no longer have, from the host of one that they have."""
    return step("etcd-members", name="etcd-members", **_ctl(cluster, host))


def leave_script(cluster: Cluster, host: HostSpec) -> str:
    """Refuse to let a member's droplet go as long as the others are not whole, from another member's host."""
    return step("etcd-leave", name=f"{host.name}-{LEAVE}", **_ctl(cluster, host))


def _ctl(cluster: Cluster, host: HostSpec) -> dict[str, Any]:
    """Return the values of assets/steps/etcdctl.sh.j2; the member is the one that the step is about."""
    return {
        "member": host.name,
        "peer_url": host.etcd_peer_url,
        "client_url": host.etcd_client_url,
        "expected": ",".join(f"{member.name}={member.etcd_peer_url}" for member in cluster.topology.etcd),
        "etcdctl_environment": paths.ETCD_CTL_ENVIRONMENT,
    }
