"""A member of the etcd cluster."""

from __future__ import annotations

from collections.abc import Mapping

from model import paths, ports
from model.files import HostFile
from model.flags import TLS_CIPHER_SUITES, arguments
from model.steps import step, unit
from model.topology import Node, Topology

OWNER = "etcd:etcd"

PEER_CA = paths.certificate(paths.ETCD_PKI, "peer-ca")
CLIENT_CA = paths.certificate(paths.ETCD_PKI, "client-ca")
SERVER_CA = paths.certificate(paths.ETCD_PKI, "server-ca")
PEER = (paths.certificate(paths.ETCD_PKI, "peer"), paths.key(paths.ETCD_PKI, "peer"))
SERVER = (paths.certificate(paths.ETCD_PKI, "server"), paths.key(paths.ETCD_PKI, "server"))
CTL = (paths.certificate(paths.ETCD_PKI, "etcdctl"), paths.key(paths.ETCD_PKI, "etcdctl"))


def environment(node: Node, extra: Mapping[str, str]) -> str:
    """ETCD_* settings of a member (etcd, op-guide/configuration)."""
    settings = {
        "name": node.name,
        "data-dir": paths.ETCD_DATA,
        "advertise-client-urls": node.etcd_client_url,
        "initial-advertise-peer-urls": node.etcd_peer_url,
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
        # The gateway calls its own server with the server's certificate, which is no client's here; nothing needs it.
        "enable-grpc-gateway": "false",
        "listen-metrics-urls": f"http://127.0.0.1:{ports.ETCD_METRICS.number}",
        **extra,
    }
    return "".join(f"ETCD_{name.upper().replace('-', '_')}={_quoted(value)}\n" for name, value in settings.items())


def _quoted(value: str) -> str:
    """As systemd reads environment files (systemd.exec(5), EnvironmentFile=)."""
    if not any(character in value for character in " '\"\\$`;#"):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
    return f'"{escaped}"'


def etcdctl_environment(topology: Topology) -> str:
    """What etcdctl needs on an etcd host: all members, and its own certificate."""
    return (
        f"ETCDCTL_ENDPOINTS={','.join(topology.etcd_client_urls)}\n"
        f"ETCDCTL_CACERT={SERVER_CA}\nETCDCTL_CERT={CTL[0]}\nETCDCTL_KEY={CTL[1]}\n"
    )


def script(*, node: Node, topology: Topology, version: str, extra: Mapping[str, str], first: bool) -> str:
    """Configure the member and let it found or join the cluster; `first` is false where it must not found one."""
    members = topology.etcd
    others = [other for other in members if other != node]
    installed = paths.installed("etcd", version)
    listen = {
        "listen-peer-urls": f"https://${{PRIVATE_ADDRESS}}:{ports.ETCD_PEER.number}",
        # A host named as its node is 127.0.1.1 to itself: cloud-init writes a droplet's name to /etc/hosts so.
        "listen-client-urls": ",".join(
            f"https://{address}:{ports.ETCD_CLIENT.number}"
            for address in ("${PRIVATE_ADDRESS}", "127.0.0.1", "127.0.1.1")
        ),
    }
    files = (
        HostFile(path=paths.ETCD_ENVIRONMENT, content=environment(node, extra)),
        HostFile(path=paths.ETCD_CTL_ENVIRONMENT, content=etcdctl_environment(topology)),
        unit(
            "etcd",
            "etcd",
            host_environment=paths.HOST_ENVIRONMENT,
            environment=paths.ETCD_ENVIRONMENT,
            bootstrap=paths.ETCD_BOOTSTRAP,
            installed=installed,
            arguments=arguments(listen, {}),
        ),
    )
    return step(
        "etcd",
        files=files,
        member=node.name,
        peer_url=node.etcd_peer_url,
        client_url=node.etcd_client_url,
        expected=",".join(f"{member.name}={member.etcd_peer_url}" for member in members),
        others=",".join(other.etcd_client_url for other in others),
        first="yes" if first else "no",
        started=members.index(node) + 1,
        quorum=len(members) // 2 + 1,
        last=node == members[-1],
        installed=installed,
        data=paths.ETCD_DATA,
        etcdctl_environment=paths.ETCD_CTL_ENVIRONMENT,
        token=f"{topology.cluster}-etcd",
        bootstrap=paths.ETCD_BOOTSTRAP,
        names=" ".join(member.private_name for member in members),
        client_port=ports.ETCD_CLIENT.number,
        peer_port=ports.ETCD_PEER.number,
        depends_on=" ".join(
            (paths.unit("etcd"), paths.ETCD_ENVIRONMENT, paths.HOST_ENVIRONMENT, PEER_CA, CLIENT_CA, *PEER, *SERVER)
        ),
    )
