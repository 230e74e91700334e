"""kube-apiserver."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network

from model import manifests, paths, ports
from model.files import HostFile
from model.flags import TLS_CIPHER_SUITES, arguments
from model.steps import step, unit
from model.steps.flannel import members
from model.topology import Topology

NAME = "kube-apiserver"
SHUTDOWN_SECONDS = 60
PRIVILEGED_PORTS = 1024

CLIENT_CA = paths.certificate(paths.KUBERNETES_PKI, "client-ca")
"""Who is believed as a client: the Kubernetes CA, and what the cluster itself signs."""
CA = paths.certificate(paths.KUBERNETES_PKI, "ca")
CLUSTER_SIGNING_CA = paths.certificate(paths.KUBERNETES_PKI, "cluster-signing-ca")
FRONT_PROXY_CA = paths.certificate(paths.KUBERNETES_PKI, "front-proxy-ca")
ETCD_CA = paths.certificate(paths.KUBERNETES_PKI, "etcd-server-ca")
SERVICE_ACCOUNT_PUBLIC = f"{paths.KUBERNETES_PKI}/service-account.pub"


def pair(name: str) -> tuple[str, str]:
    """Certificate and key of a holder."""
    return paths.certificate(paths.KUBERNETES_PKI, name), paths.key(paths.KUBERNETES_PKI, name)


SERVING = pair("apiserver")
ETCD_CLIENT = pair("apiserver-etcd-client")
KUBELET_CLIENT = pair("apiserver-kubelet-client")
FRONT_PROXY_CLIENT = pair("front-proxy-client")
# The API server signs tokens and the controller manager does too: each has a copy of its own, so that a change of the
# one's files never touches the other.
SERVICE_ACCOUNT_KEY = paths.key(paths.KUBERNETES_PKI, "apiserver-service-account")


ADMISSION_PLUGINS = ("NodeRestriction", "DenyServiceExternalIPs", "EventRateLimit")
"""Those that are not on by default (CIS 1.2.3, 1.2.9, 1.2.14)."""


def flags(*, topology: Topology, services: IPv4Network, api_port: int, authorization_mode: str) -> dict[str, str]:
    """The API server's flags (docs/reference/command-line-tools-reference/kube-apiserver)."""
    result = {
        "advertise-address": "${PRIVATE_ADDRESS}",
        "bind-address": "0.0.0.0",  # noqa: S104 -- people reach it on the public address, through the firewall
        "secure-port": str(api_port),
        "etcd-servers": "${ETCD_MEMBERS}",
        "etcd-cafile": ETCD_CA,
        "etcd-certfile": ETCD_CLIENT[0],
        "etcd-keyfile": ETCD_CLIENT[1],
        "tls-cert-file": SERVING[0],
        "tls-private-key-file": SERVING[1],
        "tls-min-version": "VersionTLS12",
        "tls-cipher-suites": TLS_CIPHER_SUITES,
        "client-ca-file": CLIENT_CA,
        "authentication-config": paths.AUTHENTICATION,
        "authorization-mode": authorization_mode,
    }
    if authorization_mode == "ABAC":
        result["authorization-policy-file"] = paths.ABAC_POLICY
    return result | {
        "enable-admission-plugins": ",".join(ADMISSION_PLUGINS),
        "admission-control-config-file": paths.ADMISSION,
        "allow-privileged": "true",
        "service-cluster-ip-range": str(services),
        "service-node-port-range": ports.NODE_PORTS_TCP.range,
        "service-account-issuer": f"https://{topology.api_private_name}:{api_port}",
        # Left alone it would announce its address, which its certificate does not hold.
        "service-account-jwks-uri": f"https://{topology.api_private_name}:{api_port}/openid/v1/jwks",
        "service-account-key-file": SERVICE_ACCOUNT_PUBLIC,
        "service-account-signing-key-file": SERVICE_ACCOUNT_KEY,
        "service-account-extend-token-expiration": "false",
        "kubelet-client-certificate": KUBELET_CLIENT[0],
        "kubelet-client-key": KUBELET_CLIENT[1],
        "kubelet-certificate-authority": CLUSTER_SIGNING_CA,
        # By name, which is all that a kubelet's certificate holds; it resolves to the VPC address.
        "kubelet-preferred-address-types": "Hostname",
        "requestheader-client-ca-file": FRONT_PROXY_CA,
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": FRONT_PROXY_CLIENT[0],
        "proxy-client-key-file": FRONT_PROXY_CLIENT[1],
        "enable-aggregator-routing": "true",
        "encryption-provider-config": paths.ENCRYPTION,
        "audit-policy-file": paths.AUDIT_POLICY,
        "audit-log-path": paths.AUDIT_LOG,
        "audit-log-maxage": "30",
        "audit-log-maxbackup": "10",
        "audit-log-maxsize": "100",
        "profiling": "false",
        "request-timeout": "60s",
        # Going away politely: say so at /readyz, serve on while clients turn to the others, then finish what is open.
        "shutdown-delay-duration": "5s",
        "shutdown-watch-termination-grace-period": "5s",
        "goaway-chance": "0.001",
    }


def script(
    *,
    topology: Topology,
    services: IPv4Network,
    api_port: int,
    authorization_mode: str,
    version: str,
    extra: Mapping[str, str],
) -> str:
    """Run the API server, until it is ready."""
    own = flags(topology=topology, services=services, api_port=api_port, authorization_mode=authorization_mode)
    if more := extra.get("enable-admission-plugins"):
        # An operator's plugins come beside ours, which the cluster's security stands on.
        extra = {**extra, "enable-admission-plugins": ",".join(dict.fromkeys((*ADMISSION_PLUGINS, *more.split(","))))}
    files = [
        HostFile(path=paths.KUBERNETES_MEMBERS, content=members(topology)),
        HostFile(path=paths.AUTHENTICATION, content=manifests.authentication_configuration()),
        HostFile(path=paths.ADMISSION, content=manifests.admission_configuration()),
        HostFile(path=paths.EVENT_RATE_LIMIT, content=manifests.event_rate_limit()),
        HostFile(path=paths.AUDIT_POLICY, content=manifests.audit_policy()),
    ]
    if authorization_mode == "ABAC":
        files.append(HostFile(path=paths.ABAC_POLICY, content=manifests.abac_policy()))
    files.append(
        unit(
            "control-plane",
            NAME,
            name=NAME,
            description="kube-apiserver, the front of the Kubernetes control plane",
            type="notify",
            environment_files=(paths.HOST_ENVIRONMENT, paths.KUBERNETES_MEMBERS),
            installed=paths.installed("kubernetes", version),
            arguments=arguments(own, extra),
            stop_seconds=SHUTDOWN_SECONDS,
            logs=paths.AUDIT_LOG_DIRECTORY.removeprefix("/var/log/"),
            capabilities="CAP_NET_BIND_SERVICE" if api_port < PRIVILEGED_PORTS else "",
        )
    )
    secret_files = (
        CLIENT_CA, CA, CLUSTER_SIGNING_CA, FRONT_PROXY_CA, ETCD_CA, *SERVING, *ETCD_CLIENT, *KUBELET_CLIENT,
        *FRONT_PROXY_CLIENT, SERVICE_ACCOUNT_PUBLIC, SERVICE_ACCOUNT_KEY, paths.ENCRYPTION,
    )  # fmt: skip
    return step(
        "service",
        name=NAME,
        files=files,
        trust=f"--cacert {CA}",
        health_url=f"https://127.0.0.1:{api_port}/readyz",
        names=" ".join(member.private_name for member in topology.etcd),
        port=api_port,
        depends_on=" ".join((*(file.path for file in files), paths.HOST_ENVIRONMENT, *secret_files)),
    )
