"""kube-apiserver: the front of the Kubernetes control plane."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256

from model import flags, paths, ports
from model.certificates import (
    CLIENT_USES,
    CLUSTER_DOMAIN,
    LOOPBACK,
    SERVER_USES,
    Authority,
    Leaf,
    etcd_client,
    kubernetes_client,
)
from model.cluster import Cluster
from model.documents import as_yaml
from model.files import HostFile
from model.flags import TLS_CIPHER_SUITES, FlagRules, arguments
from model.roles import Role
from model.secrets import EncryptionConfiguration, SecretFile, ServiceAccountKey, authority, pair
from model.service import HOST_ENVIRONMENT, Binaries, Health, Service, define
from model.services import etcd
from model.steps import control_plane_unit
from model.topology import INTERNAL, HostSpec, api_service_address

NAME = UNIT = "kube-apiserver"
ROLES = (Role.KUBE_MASTER,)
SHUTDOWN_SECONDS = 60
PRIVILEGED_PORTS = 1024

MEMBERS = "/etc/kubernetes/etcd-members"
AUDIT_LOG_DIRECTORY = "/var/log/kubernetes"
AUDIT_LOG = f"{AUDIT_LOG_DIRECTORY}/audit.log"
AUDIT_POLICY = "/etc/kubernetes/audit-policy.yaml"
AUTHENTICATION = "/etc/kubernetes/authentication.yaml"
ABAC_POLICY = "/etc/kubernetes/abac-policy.jsonl"
ADMISSION = "/etc/kubernetes/admission.yaml"
EVENT_RATE_LIMIT = "/etc/kubernetes/event-rate-limit.yaml"
ENCRYPTION = "/etc/kubernetes/encryption.yaml"

OWN_PATHS = (
    paths.KUBERNETES_PKI,
    ENCRYPTION,
    MEMBERS,
    AUDIT_POLICY,
    AUTHENTICATION,
    ABAC_POLICY,
    ADMISSION,
    EVENT_RATE_LIMIT,
    *paths.program("kubernetes", NAME),
    # For the steps that call the API.
    *paths.program("kubernetes", "kubectl"),
    paths.unit(UNIT),
)
"""Audit logs are not among them: they say what was done, and stay as long as the host."""

CLIENT_CA = paths.certificate(paths.KUBERNETES_PKI, "client-ca")
"""Authorities of client certificates: the Kubernetes CA, and the cluster's signer."""
CA = paths.certificate(paths.KUBERNETES_PKI, "ca")
CLUSTER_SIGNING_CA = paths.certificate(paths.KUBERNETES_PKI, "cluster-signing-ca")
FRONT_PROXY_CA = paths.certificate(paths.KUBERNETES_PKI, "front-proxy-ca")
ETCD_CA = paths.certificate(paths.KUBERNETES_PKI, "etcd-server-ca")
SERVICE_ACCOUNT_PUBLIC = f"{paths.KUBERNETES_PKI}/service-account.pub"


def _pair(name: str) -> tuple[str, str]:
    """Certificate and key of a holder."""
    return paths.certificate(paths.KUBERNETES_PKI, name), paths.key(paths.KUBERNETES_PKI, name)


SERVING = _pair("apiserver")
ETCD_CLIENT = _pair("apiserver-etcd-client")
KUBELET_CLIENT = _pair("apiserver-kubelet-client")
FRONT_PROXY_CLIENT = _pair("front-proxy-client")
# Both the API server and the controller manager sign tokens. Each has its own copy of the key, so that a change of
# the files of one never affects the other.
SERVICE_ACCOUNT_KEY = paths.key(paths.KUBERNETES_PKI, "apiserver-service-account")

_ANONYMOUS = "the rule that anonymous clients see the API's health and nothing else"
FLAG_RULES = FlagRules(
    owned={
        **dict.fromkeys(("etcd-cafile", "etcd-certfile", "etcd-keyfile", "client-ca-file"), flags.CERTIFICATES),
        **dict.fromkeys(("tls-cert-file", "tls-private-key-file", "requestheader-client-ca-file"), flags.CERTIFICATES),
        **dict.fromkeys(("kubelet-client-certificate", "kubelet-client-key"), flags.CERTIFICATES),
        **dict.fromkeys(("kubelet-certificate-authority", "proxy-client-cert-file"), flags.CERTIFICATES),
        **dict.fromkeys(("proxy-client-key-file", "service-account-key-file"), flags.CERTIFICATES),
        "service-account-signing-key-file": flags.CERTIFICATES,
        **dict.fromkeys(("etcd-servers", "advertise-address", "bind-address"), flags.ADDRESSES),
        "secure-port": "triplane:apiPort",
        "service-cluster-ip-range": "triplane:serviceCidr",
        "service-node-port-range": "the firewalls, which know 30000 to 32767",
        "authorization-mode": "triplane:authorizationMode",
        "authorization-config": "triplane:authorizationMode",
        "authorization-policy-file": "triplane:authorizationMode",
        "encryption-provider-config": "triplane:encryptionKeys",
        "authentication-config": _ANONYMOUS,
        "anonymous-auth": _ANONYMOUS,
    },
    removed={
        **dict.fromkeys(("insecure-port", "insecure-bind-address", "address", "port"), flags.INSECURE_PORT),
        "experimental-encryption-provider-config": "is encryption-provider-config since Kubernetes 1.13",
        "cloud-provider": "went to the cloud controller manager in Kubernetes 1.33",
        "basic-auth-file": "was password authentication, which went in Kubernetes 1.19",
    },
    removed_prefixes={"oidc-": "is refused by the API server beside the authentication file that Triplane gives it"},
)


def serving(cluster: Cluster, host: HostSpec) -> Leaf:
    """The API server's serving certificate: all its names, and no address that may change."""
    topology = cluster.topology
    domain = topology.domain
    in_cluster = (
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        f"kubernetes.default.svc.{CLUSTER_DOMAIN}",
    )
    return Leaf(
        name=f"apiserver-{host.name}",
        authority=Authority.KUBERNETES,
        common_name=NAME,
        dns_names=(
            topology.api_name,
            topology.api_private_name,
            host.fqdn,
            host.private_name,
            f"*.{domain}",
            f"*.{INTERNAL}.{domain}",
            *in_cluster,
            "localhost",
        ),
        addresses=(LOOPBACK, api_service_address(cluster.services)),
        uses=SERVER_USES,
    )


def kubelet_client(host: HostSpec) -> Leaf:
    """The API server's client certificate for kubelets, in no privileged group: RBAC decides its rights."""
    return kubernetes_client(f"apiserver-kubelet-client-{host.name}", "kube-apiserver-kubelet-client")


def front_proxy_client(host: HostSpec) -> Leaf:
    """The API server's client certificate for aggregated API servers."""
    return Leaf(
        name=f"front-proxy-client-{host.name}",
        authority=Authority.FRONT_PROXY,
        common_name="front-proxy-client",
        uses=CLIENT_USES,
    )


def secrets(cluster: Cluster, host: HostSpec) -> tuple[SecretFile, ...]:
    """Authorities, tokens' keys, four certificates, and the keys for encryption at rest."""
    return (
        authority(CA, Authority.KUBERNETES),
        authority(CLUSTER_SIGNING_CA, Authority.CLUSTER_SIGNING),
        authority(CLIENT_CA, Authority.KUBERNETES, Authority.CLUSTER_SIGNING),
        authority(FRONT_PROXY_CA, Authority.FRONT_PROXY),
        authority(ETCD_CA, Authority.ETCD_SERVER),
        SecretFile(path=SERVICE_ACCOUNT_PUBLIC, content=ServiceAccountKey(public=True)),
        SecretFile(path=SERVICE_ACCOUNT_KEY, content=ServiceAccountKey()),
        *pair(SERVING, serving(cluster, host)),
        *pair(ETCD_CLIENT, etcd_client("apiserver-etcd-client", host)),
        *pair(KUBELET_CLIENT, kubelet_client(host)),
        *pair(FRONT_PROXY_CLIENT, front_proxy_client(host)),
        SecretFile(path=ENCRYPTION, content=EncryptionConfiguration()),
    )


def health(port: int | str) -> Health:
    """Health check of the server: /readyz, which needs no credentials."""
    return Health(url=f"https://127.0.0.1:{port}/readyz", ca=CA)


def encryption_secret(private_key_pem: str) -> str:
    """32 bytes in base64, derived from a private key that is used for nothing else.

    A P-256 key has 256 bits of entropy, and SHA-256 spreads them over the 32 bytes that secretbox needs
    (docs/tasks/administer-cluster/encrypt-data).
    """
    return b64encode(sha256(b"triplane encryption at rest\n" + private_key_pem.encode()).digest()).decode()


def encryption_configuration(keys: Sequence[tuple[str, str]]) -> str:
    """Encryption of secrets in etcd: the first (name, base64 secret) encrypts, all of them decrypt."""
    return as_yaml(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "EncryptionConfiguration",
            "resources": [
                {
                    "resources": ["secrets"],
                    "providers": [
                        {"secretbox": {"keys": [{"name": name, "secret": secret} for name, secret in keys]}},
                        {"identity": {}},
                    ],
                }
            ],
        }
    )


def audit_policy() -> str:
    """Audit policy: metadata only for secrets, bodies of writes, nothing for health checks."""
    return as_yaml(
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [
                {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/version"]},
                # Each component renews its lease every few seconds; such requests have no value in the log.
                {
                    "level": "None",
                    "resources": [
                        {"group": "coordination.k8s.io", "resources": ["leases"]},
                        {"group": "", "resources": ["events"]},
                    ],
                },
                {
                    "level": "Metadata",
                    "resources": [
                        {"group": "", "resources": ["secrets", "configmaps", "serviceaccounts/token"]},
                        {"group": "authentication.k8s.io", "resources": ["tokenreviews"]},
                    ],
                },
                {
                    "level": "Request",
                    "resources": [
                        {"group": "", "resources": ["pods/exec", "pods/portforward", "pods/proxy", "services/proxy"]}
                    ],
                },
                {"level": "Request", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
                {"level": "Metadata"},
            ],
        }
    )


def authentication_configuration() -> str:
    """Anonymous requests may call the health checks and nothing else (CIS 1.2.1)."""
    return as_yaml(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "AuthenticationConfiguration",
            "anonymous": {
                "enabled": True,
                "conditions": [{"path": path} for path in ("/livez", "/readyz", "/healthz")],
            },
        }
    )


def admission_configuration() -> str:
    """Paths of the admission plugins' own configurations."""
    return as_yaml(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "AdmissionConfiguration",
            "plugins": [{"name": "EventRateLimit", "path": EVENT_RATE_LIMIT}],
        }
    )


def event_rate_limit() -> str:
    """Rate-limit events, so that a crash loop cannot fill etcd (CIS 1.2.9)."""
    return as_yaml(
        {
            "apiVersion": "eventratelimit.admission.k8s.io/v1alpha1",
            "kind": "Configuration",
            "limits": [
                {"type": "Server", "qps": 500, "burst": 5000},
                {"type": "Namespace", "qps": 50, "burst": 500, "cacheSize": 2000},
            ],
        }
    )


def abac_policy() -> str:
    """The references' policy: one JSON object per line (docs/reference/access-authn-authz/abac)."""
    everything = {"namespace": "*", "resource": "*", "apiGroup": "*", "nonResourcePath": "*"}
    subjects = (
        {"user": "admin"},
        {"user": "kubelet"},
        {"group": "system:serviceaccounts"},
        # The references' components used an open port; Triplane's components have users of their own.
        {"user": "system:kube-controller-manager"},
        {"user": "system:kube-scheduler"},
        {"user": "system:kube-proxy"},
        {"group": "system:nodes"},
        # API servers call kubelets as this user, and the kubelets send a SubjectAccessReview for it.
        {"user": "kube-apiserver-kubelet-client"},
    )
    return "".join(
        json.dumps(
            {
                "apiVersion": "abac.authorization.kubernetes.io/v1beta1",
                "kind": "Policy",
                "spec": {**subject, **everything},
            }
        )
        + "\n"
        for subject in subjects
    )


ADMISSION_PLUGINS = ("NodeRestriction", "DenyServiceExternalIPs", "EventRateLimit")
"""Plugins that are not enabled by default (CIS 1.2.3, 1.2.9, 1.2.14)."""


def own_flags(cluster: Cluster) -> dict[str, str]:
    """The API server's flags (docs/reference/command-line-tools-reference/kube-apiserver)."""
    result = {
        "advertise-address": "${PRIVATE_ADDRESS}",
        "bind-address": "0.0.0.0",  # noqa: S104 - people reach it on the public address, through the firewall
        "secure-port": str(cluster.api_port),
        "etcd-servers": "${ETCD_MEMBERS}",
        "etcd-cafile": ETCD_CA,
        "etcd-certfile": ETCD_CLIENT[0],
        "etcd-keyfile": ETCD_CLIENT[1],
        "tls-cert-file": SERVING[0],
        "tls-private-key-file": SERVING[1],
        "tls-min-version": "VersionTLS12",
        "tls-cipher-suites": TLS_CIPHER_SUITES,
        "client-ca-file": CLIENT_CA,
        "authentication-config": AUTHENTICATION,
        "authorization-mode": cluster.authorization_mode,
    }
    if cluster.authorization_mode == "ABAC":
        result["authorization-policy-file"] = ABAC_POLICY
    return result | {
        "enable-admission-plugins": ",".join(ADMISSION_PLUGINS),
        "admission-control-config-file": ADMISSION,
        "allow-privileged": "true",
        "service-cluster-ip-range": str(cluster.services),
        "service-node-port-range": ports.NODE_PORTS_TCP.range,
        "service-account-issuer": cluster.api_url,
        # By default the URL has the server's address, which is not in its certificate.
        "service-account-jwks-uri": f"{cluster.api_url}/openid/v1/jwks",
        "service-account-key-file": SERVICE_ACCOUNT_PUBLIC,
        "service-account-signing-key-file": SERVICE_ACCOUNT_KEY,
        "service-account-extend-token-expiration": "false",
        "kubelet-client-certificate": KUBELET_CLIENT[0],
        "kubelet-client-key": KUBELET_CLIENT[1],
        "kubelet-certificate-authority": CLUSTER_SIGNING_CA,
        # By name, because a kubelet's certificate has nothing else; it resolves to the VPC address.
        "kubelet-preferred-address-types": "Hostname",
        "requestheader-client-ca-file": FRONT_PROXY_CA,
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": FRONT_PROXY_CLIENT[0],
        "proxy-client-key-file": FRONT_PROXY_CLIENT[1],
        "enable-aggregator-routing": "true",
        "encryption-provider-config": ENCRYPTION,
        "audit-policy-file": AUDIT_POLICY,
        "audit-log-path": AUDIT_LOG,
        "audit-log-maxage": "30",
        "audit-log-maxbackup": "10",
        "audit-log-maxsize": "100",
        "profiling": "false",
        "request-timeout": "60s",
        # Graceful shutdown: /readyz fails, clients move to the other servers, then open requests are finished.
        "shutdown-delay-duration": "5s",
        "shutdown-watch-termination-grace-period": "5s",
        "goaway-chance": "0.001",
    }


def service(cluster: Cluster, host: HostSpec) -> Service:
    """Run the API server, and wait until it is ready."""
    extra = cluster.flags(NAME)
    if more := extra.get("enable-admission-plugins"):
        # An operator's plugins are added to Triplane's, because the cluster's security depends on those.
        extra = {**extra, "enable-admission-plugins": ",".join(dict.fromkeys((*ADMISSION_PLUGINS, *more.split(","))))}
    abac = (HostFile(path=ABAC_POLICY, content=abac_policy()),) if cluster.authorization_mode == "ABAC" else ()
    return define(
        "service",
        name=NAME,
        binaries=(Binaries(component="kubernetes", file=NAME, step=NAME),),
        files=(
            HostFile(path=MEMBERS, content=etcd.members(cluster.topology)),
            HostFile(path=AUTHENTICATION, content=authentication_configuration()),
            HostFile(path=ADMISSION, content=admission_configuration()),
            HostFile(path=EVENT_RATE_LIMIT, content=event_rate_limit()),
            HostFile(path=AUDIT_POLICY, content=audit_policy()),
            *abac,
            control_plane_unit(
                UNIT,
                description="kube-apiserver, the front of the Kubernetes control plane",
                type="notify",
                environment_files=(paths.HOST_ENVIRONMENT, MEMBERS),
                installed=cluster.installed("kubernetes"),
                arguments=arguments(own_flags(cluster), extra),
                stop_seconds=SHUTDOWN_SECONDS,
                logs=AUDIT_LOG_DIRECTORY.removeprefix("/var/log/"),
                capabilities="CAP_NET_BIND_SERVICE" if cluster.api_port < PRIVILEGED_PORTS else "",
            ),
        ),
        environment=HOST_ENVIRONMENT,
        secrets=secrets(cluster, host),
        health=health(cluster.api_port),
        names=" ".join(member.private_name for member in cluster.topology.etcd),
        port=cluster.api_port,
    )
