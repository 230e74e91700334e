"""Documents that Kubernetes reads: Python objects, which are written as YAML."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import yaml


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
