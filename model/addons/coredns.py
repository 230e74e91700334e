"""CoreDNS: the DNS server of pods."""

from __future__ import annotations

from hashlib import sha256
from ipaddress import IPv4Network
from typing import Any

from model import ports
from model.addons import SYSTEM, Object
from model.certificates import CLUSTER_DOMAIN
from model.roles import CONTROL_PLANE
from model.topology import dns_service_address

NAME = "coredns"
SERVICE = "kube-dns"
"""Name of the Service that other programs expect, whichever DNS server runs (kubernetes/dns, specification)."""
LABELS = {"k8s-app": SERVICE}
REPLICAS = 2
USER = 65532
"""`nonroot` in upstream's image."""
TOLERATION_SECONDS = 30
"""Seconds that a replica stays on a lost host before another one starts elsewhere."""
HOSTNAME = "kubernetes.io/hostname"
UNINITIALIZED = "node.cloudprovider.kubernetes.io/uninitialized"
ROLE = "system:coredns"


def corefile() -> str:
    """Answer for the cluster's own domain, and forward other queries to the host's resolvers (coredns.io/plugins).

    There is no `reload`: a rollout delivers a changed file, one replica after the other, each ready before the next.
    """
    return f""".:{ports.DNS_UDP.number} {{
    errors
    health :{ports.COREDNS_HEALTH.number} {{
        lameduck 5s
    }}
    ready :{ports.COREDNS_READY.number}
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    prometheus :{ports.COREDNS_METRICS.number}
    forward . /etc/resolv.conf {{
        max_concurrent 1000
    }}
    cache 30 {{
        disable success {CLUSTER_DOMAIN}
        disable denial {CLUSTER_DOMAIN}
    }}
    loop
    loadbalance
}}
"""


def coredns(*, image: str, services: IPv4Network) -> tuple[Object, ...]:
    """Two replicas behind the DNS address of the service range; `image` is a full reference with its digest."""
    return (
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _named(NAME)},
        _role(),
        _binding(),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _named(NAME), "data": {"Corefile": corefile()}},
        _service(services),
        _deployment(image),
        _budget(),
    )


def _named(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": SYSTEM, "labels": LABELS}


def _role() -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": ROLE},
        "rules": [
            {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
        ],
    }


def _binding() -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": ROLE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ROLE},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": SYSTEM}],
    }


_PORTS = (
    ("dns", ports.DNS_UDP, "UDP"),
    ("dns-tcp", ports.DNS_TCP, "TCP"),
    ("metrics", ports.COREDNS_METRICS, "TCP"),
)


def _service(services: IPv4Network) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            **_named(SERVICE),
            # Shown by `kubectl cluster-info`.
            "labels": {**LABELS, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"},
        },
        "spec": {
            "clusterIP": str(dns_service_address(services)),
            "selector": LABELS,
            "ports": [{"name": name, "port": port.number, "protocol": protocol} for name, port, protocol in _PORTS],
        },
    }


def _deployment(image: str) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _named(NAME),
        "spec": {
            "replicas": REPLICAS,
            "revisionHistoryLimit": 3,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}},
            "selector": {"matchLabels": LABELS},
            "template": {
                "metadata": {
                    "labels": LABELS,
                    "annotations": {"triplane/corefile": sha256(corefile().encode()).hexdigest()},
                },
                "spec": _pod(image),
            },
        },
    }


def _pod(image: str) -> Object:
    return {
        "serviceAccountName": NAME,
        "priorityClassName": "system-cluster-critical",
        # The host's own resolvers, from the kubelet's configuration.
        "dnsPolicy": "Default",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "affinity": {
            "nodeAffinity": {
                # On masters only if there is no other node.
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 100,
                        "preference": {"matchExpressions": [{"key": CONTROL_PLANE, "operator": "DoesNotExist"}]},
                    }
                ]
            }
        },
        "topologySpreadConstraints": [
            # Never two replicas on one host while another host could run one; a single host counts as balanced.
            {
                "maxSkew": 1,
                "topologyKey": HOSTNAME,
                "whenUnsatisfiable": "DoNotSchedule",
                "nodeTaintsPolicy": "Honor",
                "labelSelector": {"matchLabels": LABELS},
                "matchLabelKeys": ["pod-template-hash"],
            }
        ],
        "tolerations": [
            {"key": "CriticalAddonsOnly", "operator": "Exists"},
            {"key": CONTROL_PLANE, "operator": "Exists", "effect": "NoSchedule"},
            # Taint of a node that waits for its cloud controller manager, which may need DNS itself.
            {"key": UNINITIALIZED, "operator": "Exists", "effect": "NoSchedule"},
            *(
                {
                    "key": f"node.kubernetes.io/{condition}",
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": TOLERATION_SECONDS,
                }
                for condition in ("not-ready", "unreachable")
            ),
        ],
        "containers": [_container(image)],
        "volumes": [
            {"name": "config", "configMap": {"name": NAME, "items": [{"key": "Corefile", "path": "Corefile"}]}}
        ],
    }


def _container(image: str) -> Object:
    return {
        "name": NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [
            {"name": name, "containerPort": port.number, "protocol": protocol} for name, port, protocol in _PORTS
        ],
        "resources": {"requests": {"cpu": "100m", "memory": "70Mi"}, "limits": {"memory": "170Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        },
        "livenessProbe": {
            "httpGet": {"path": "/health", "port": ports.COREDNS_HEALTH.number},
            "timeoutSeconds": 5,
            "failureThreshold": 5,
        },
        "readinessProbe": {"httpGet": {"path": "/ready", "port": ports.COREDNS_READY.number}, "periodSeconds": 5},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
    }


def _budget() -> Object:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _named(NAME),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": LABELS},
            # A replica that is not ready answers no queries, so it may be evicted.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
