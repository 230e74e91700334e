"""Kubernetes' own files, as objects until the last moment."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from ipaddress import IPv4Network
from typing import Any

import yaml

from model import paths


def as_yaml(document: Mapping[str, Any]) -> str:
    """The text of one object, its fields in their order."""
    text: str = yaml.safe_dump(dict(document), sort_keys=False, width=200)
    return text


def kubeconfig(*, cluster: str, server: str, user: str, ca: str, certificate: str, key: str) -> str:
    """A kubeconfig that embeds its certificates (PEM texts); `server` is a URL."""
    return as_yaml(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": cluster, "cluster": {"server": server, "certificate-authority-data": _base64(ca)}},
            ],
            "users": [
                {
                    "name": user,
                    "user": {"client-certificate-data": _base64(certificate), "client-key-data": _base64(key)},
                }
            ],
            "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
            "current-context": cluster,
        }
    )


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def encryption_secret(private_key_pem: str) -> str:
    """32 bytes in base64 out of a private key that nobody uses for anything else.

    A P-256 key holds 256 bits of entropy and SHA-256 spreads them over the 32 bytes that secretbox wants
    (docs/tasks/administer-cluster/encrypt-data).
    """
    return b64encode(sha256(b"triplane encryption at rest\n" + private_key_pem.encode()).digest()).decode()


def encryption_configuration(keys: Sequence[tuple[str, str]]) -> str:
    """How secrets are written to etcd: the first (name, base64 secret) encrypts, each of them decrypts."""
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
    """What is logged of a request: secrets by metadata alone, writes with their bodies, health checks not at all."""
    return as_yaml(
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [
                {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/version"]},
                # Leases are renewed every few seconds by each component and say nothing.
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
    """Anonymous requests get as far as the health checks and no further (CIS 1.2.1)."""
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
    """Where admission plugins find their own settings."""
    return as_yaml(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "AdmissionConfiguration",
            "plugins": [{"name": "EventRateLimit", "path": paths.EVENT_RATE_LIMIT}],
        }
    )


def event_rate_limit() -> str:
    """Events a second that the API server takes, lest a crash loop fill etcd (CIS 1.2.9)."""
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


def scheduler_configuration() -> str:
    """The scheduler's configuration: whom to call, and to let one of several lead."""
    return as_yaml(
        {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "clientConnection": {"kubeconfig": paths.SCHEDULER_KUBECONFIG},
            "leaderElection": {"leaderElect": True},
            "enableProfiling": False,
        }
    )


def abac_policy() -> str:
    """The references' policy: a JSON object a line (docs/reference/access-authn-authz/abac)."""
    everything = {"namespace": "*", "resource": "*", "apiGroup": "*", "nonResourcePath": "*"}
    subjects = (
        {"user": "admin"},
        {"user": "kubelet"},
        {"group": "system:serviceaccounts"},
        # The references' components spoke over an open port; ours have names of their own.
        {"user": "system:kube-controller-manager"},
        {"user": "system:kube-scheduler"},
        {"user": "system:kube-proxy"},
        {"group": "system:nodes"},
        # As whom API servers ask kubelets, which ask an API server whether he may.
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


def flannel_network(pods: IPv4Network) -> str:
    """What flannel reads from etcd: VXLAN, and nftables, which every Debian 12 host has (flannel, configuration.md)."""
    return json.dumps(
        {"Network": str(pods), "EnableNFTables": True, "Backend": {"Type": "vxlan", "VNI": 1}}, separators=(",", ":")
    )
