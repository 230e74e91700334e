"""What an operator's extra flags may not be: gone upstream, owned by Triplane, or a hole in the cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping

from settings.mistakes import one_of

MOST_PODS = 253
"""On a host: its /24, less the network's own address, the bridge's, and the one for broadcasts."""

# Flags without which no host would come up again, or that a setting decides: flag → what decides it.
_CERTIFICATES = "Triplane's own PKI"
_ADDRESSES = "the address plan"
_NAMES = "the pools"
_PATHS = "the registry of paths"
_KUBELET_ACCESS = "the rule that a kubelet answers those alone for whom the API server vouches"
_ANONYMOUS = "the rule that anonymous clients see the API's health and nothing else"
_OWNED: Mapping[str, Mapping[str, str]] = {
    "etcd": {
        **dict.fromkeys(("name", "initial-cluster", "initial-cluster-state", "initial-cluster-token"), _NAMES),
        **dict.fromkeys(("listen-client-urls", "listen-peer-urls", "listen-metrics-urls"), _ADDRESSES),
        **dict.fromkeys(("advertise-client-urls", "initial-advertise-peer-urls"), _ADDRESSES),
        **dict.fromkeys(("cert-file", "key-file", "trusted-ca-file", "client-cert-auth"), _CERTIFICATES),
        **dict.fromkeys(("peer-cert-file", "peer-key-file", "peer-trusted-ca-file"), _CERTIFICATES),
        **dict.fromkeys(("peer-client-cert-auth", "auto-tls", "peer-auto-tls"), _CERTIFICATES),
        "data-dir": _PATHS,
        "config-file": "the environment file, which etcd would then not read",
    },
    "flannel": {
        **dict.fromkeys(("etcd-cafile", "etcd-certfile", "etcd-keyfile"), _CERTIFICATES),
        **dict.fromkeys(("etcd-username", "etcd-password"), _CERTIFICATES),
        **dict.fromkeys(("etcd-endpoints", "etcd-prefix", "iface", "public-ip"), _ADDRESSES),
        "subnet-file": _PATHS,
        "kube-subnet-mgr": "etcd, where flannel keeps its leases",
    },
    "kube-apiserver": {
        **dict.fromkeys(("etcd-cafile", "etcd-certfile", "etcd-keyfile", "client-ca-file"), _CERTIFICATES),
        **dict.fromkeys(("tls-cert-file", "tls-private-key-file", "requestheader-client-ca-file"), _CERTIFICATES),
        **dict.fromkeys(("kubelet-client-certificate", "kubelet-client-key"), _CERTIFICATES),
        **dict.fromkeys(("kubelet-certificate-authority", "proxy-client-cert-file"), _CERTIFICATES),
        **dict.fromkeys(("proxy-client-key-file", "service-account-key-file"), _CERTIFICATES),
        "service-account-signing-key-file": _CERTIFICATES,
        **dict.fromkeys(("etcd-servers", "advertise-address", "bind-address"), _ADDRESSES),
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
    "kube-controller-manager": {
        **dict.fromkeys(("root-ca-file", "service-account-private-key-file"), _CERTIFICATES),
        **dict.fromkeys(("cluster-signing-cert-file", "cluster-signing-key-file"), _CERTIFICATES),
        **dict.fromkeys(("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"), _CERTIFICATES),
        **dict.fromkeys(("bind-address", "secure-port"), _ADDRESSES),
        "cluster-cidr": "triplane:podCidr",
        "service-cluster-ip-range": "triplane:serviceCidr",
    },
    "kube-scheduler": {
        **dict.fromkeys(("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"), _CERTIFICATES),
        **dict.fromkeys(("bind-address", "secure-port"), _ADDRESSES),
        "config": _PATHS,
    },
    "kubelet": {
        **dict.fromkeys(("kubeconfig", "bootstrap-kubeconfig", "cert-dir", "client-ca-file"), _CERTIFICATES),
        **dict.fromkeys(("tls-cert-file", "tls-private-key-file"), _CERTIFICATES),
        **dict.fromkeys(("rotate-certificates", "rotate-server-certificates"), _CERTIFICATES),
        "cluster-domain": _CERTIFICATES,
        **dict.fromkeys(("address", "port", "node-ip", "pod-cidr", "cluster-dns"), _ADDRESSES),
        **dict.fromkeys(("healthz-bind-address", "healthz-port"), _ADDRESSES),
        **dict.fromkeys(("hostname-override", "register-node"), _NAMES),
        **dict.fromkeys(("node-labels", "register-with-taints"), "the pools' labels, taints and roles"),
        **dict.fromkeys(("anonymous-auth", "authorization-mode", "authentication-token-webhook"), _KUBELET_ACCESS),
        **dict.fromkeys(("read-only-port", "enable-server"), _KUBELET_ACCESS),
        **dict.fromkeys(("config", "config-dir", "root-dir", "pod-manifest-path"), _PATHS),
        **dict.fromkeys(("container-runtime-endpoint", "image-service-endpoint"), _PATHS),
        "cgroup-driver": "containerd, whom the kubelet asks",
        "cloud-provider": "triplane:cloudController",
        "provider-id": "the droplet's id",
    },
    "kube-proxy": {
        "config": _PATHS,
        "kubeconfig": _CERTIFICATES,
        "hostname-override": _NAMES,
        "cluster-cidr": "triplane:podCidr",
    },
}

# Flags that no selectable release has any more, and where each one's job went.
_INSECURE_PORT = "served the API without TLS; there is no such port any more"
_DOCKERSHIM = "was part of dockershim, which went in Kubernetes 1.24"
_GONE: Mapping[str, Mapping[str, str]] = {
    "etcd": {
        **dict.fromkeys(("enable-v2", "enable-v2v3"), "was etcd's v2 API, which 3.6 has no more"),
        "proxy": "was etcd's v2 proxy, which 3.6 has no more",
    },
    "flannel": {},
    "kube-apiserver": {
        **dict.fromkeys(("insecure-port", "insecure-bind-address", "address", "port"), _INSECURE_PORT),
        "experimental-encryption-provider-config": "is encryption-provider-config since Kubernetes 1.13",
        "cloud-provider": "went to the cloud controller manager in Kubernetes 1.33",
        "basic-auth-file": "was password authentication, which went in Kubernetes 1.19",
    },
    "kube-controller-manager": {
        **dict.fromkeys(("address", "port"), _INSECURE_PORT),
        **dict.fromkeys(("enable-taint-manager", "pod-eviction-timeout"), "went in Kubernetes 1.27"),
    },
    "kube-scheduler": {**dict.fromkeys(("address", "port"), _INSECURE_PORT)},
    "kubelet": {
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
    "kube-proxy": {},
}
_GONE_PREFIXES: Mapping[str, Mapping[str, str]] = {
    "etcd": {
        "experimental-": "is on its way out of etcd. Write it without experimental-, or as a feature-gates entry",
        "proxy-": "was etcd's v2 proxy, which 3.6 has no more",
    },
    "kube-apiserver": {"oidc-": "is refused by the API server beside the authentication file that Triplane gives it"},
}

# Flags that a component heeds beside its configuration file, where it ignores all others without a word.
_HEEDED: Mapping[str, tuple[str, ...]] = {
    # cmd/kube-proxy/app/options.go, Complete: the file takes the place of every flag but those of logging
    "kube-proxy": ("v", "vmodule", "logging-format", "log-flush-frequency"),
}

_VITAL_PLUGINS = ("NodeRestriction", "ServiceAccount", "NamespaceLifecycle")
_SECRET_VALUE = re.compile(r"-----BEGIN |://[^/@\s]*:[^/@\s]*@|\bdo[opr]_v1_[0-9a-f]{16}")

_NOT_IN_UNITS = re.compile(r"[^!-~]|[\"'\\$%]")
"""Space, what is not printed, and the characters with which systemd quotes and expands (systemd.service(5))."""


def looks_secret(value: str) -> bool:
    """Tell whether a value must not be shown: key material, a token, or an address with a password in it."""
    return bool(_SECRET_VALUE.search(value))


def problem(component: str, flag: str, value: str) -> str | None:
    """Say what is wrong with an extra flag and what to do instead, or None. The text reads on from the flag's name."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*", flag):
        wish = flag.lstrip("-").split("=", 1)[0].replace("_", "-").lower()
        instead = f" Write {wish}." if re.fullmatch(r"[a-z][a-z0-9-]*", wish) else ""
        return f"is no flag's name: lower-case words with dashes between, none before.{instead}"
    if looks_secret(value):
        return "has a secret in its value, and flags stand in plain view on hosts. Take it out, and replace the secret."
    if odd := _NOT_IN_UNITS.search(value):
        return f"has {odd.group()!r} in its value, which systemd would not hand on as it is. Write it without."
    if owner := _OWNED[component].get(flag):
        return f"is owned by Triplane: it follows from {owner}. Take it out."
    if gone := _gone(component, flag):
        return gone
    return _hole(component, flag, value)


def _gone(component: str, flag: str) -> str | None:
    gone = _GONE[component].get(flag) or next(
        (why for prefix, why in _GONE_PREFIXES.get(component, {}).items() if flag.startswith(prefix)), None
    )
    if gone:
        return f"{gone}." if gone.startswith("is on its way") else f"{gone}. Take it out."
    if (heeded := _HEEDED.get(component)) and flag not in heeded:
        return f"is ignored by {component} beside its configuration file. Take it out: it heeds {one_of(heeded)} alone."
    return None


def _hole(component: str, flag: str, value: str) -> str | None:
    words = set(value.split(","))
    if component == "kube-apiserver" and flag == "token-auth-file":
        return "lets people in by passwords in a file. Take it out, and give them certificates."
    if flag == "enable-admission-plugins" and "AlwaysAdmit" in words:
        return "admits everything with AlwaysAdmit. Take that one out."
    if flag == "disable-admission-plugins" and (vital := [name for name in _VITAL_PLUGINS if name in words]):
        return f"switches off {' and '.join(vital)}, which the cluster's security stands on. Take it out."
    if flag == "use-service-account-credentials" and value.lower() != "true":
        return "gives every controller the rights of all. Take it out."
    if flag == "tls-min-version" and value in {"VersionTLS10", "VersionTLS11"}:
        return "allows broken TLS. Write VersionTLS12 or VersionTLS13."
    return _weak_kubelet(flag, value) if component == "kubelet" else None


def _weak_kubelet(flag: str, value: str) -> str | None:
    """Say what the CIS benchmark's 4.2 finds wrong, or that pods would find no address."""
    number = int(value) if re.fullmatch(r"-?[0-9]{1,9}", value) else None
    if flag == "pod-max-pids" and number is not None and number <= 0:
        return "lets one pod take all process ids of its host. Write e.g. 4096."
    if flag == "seccomp-default" and value.lower() != "true":
        return "gives pods every system call of the kernel. Take it out."
    if flag == "make-iptables-util-chains" and value.lower() != "true":
        return "leaves out the rule that keeps neighbours from a host's 127.0.0.1. Take it out."
    if flag == "streaming-connection-idle-timeout" and re.fullmatch(r"0+[a-z]*", value):
        return "keeps idle connections to pods open for ever. Write e.g. 4h."
    if flag == "max-pods" and number is not None and number > MOST_PODS:
        return f"is more than the {MOST_PODS} addresses for pods in a /24. Write {MOST_PODS} or less."
    return None
