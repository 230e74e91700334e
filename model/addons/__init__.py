"""Objects of the Kubernetes API that the graph keeps: Python objects, which are written as readable YAML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

Object = Mapping[str, Any]

FIELD_MANAGER = "triplane"
"""Field manager of server-side apply (docs/reference/using-api/server-side-apply)."""
SET_LABEL = "triplane/objects"
"""Label with the name of an object's set; it finds the objects that are no longer in a manifest."""
SYSTEM = "kube-system"

KINDS: Mapping[str, str] = {
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "ServiceAccount": "serviceaccounts",
    "ConfigMap": "configmaps",
    "Service": "services",
    "Deployment": "deployments",
    "PodDisruptionBudget": "poddisruptionbudgets",
}
"""Kinds that Triplane applies, or once applied → their plurals. Only these are searched for objects to remove."""


def as_yaml(objects: Iterable[Object], *, labels: Mapping[str, str] | None = None) -> str:
    """Write a stream of documents, each object with these labels in addition to its own."""
    return "---\n".join(
        yaml.dump(_labelled(item, labels or {}), Dumper=_Dumper, sort_keys=False, width=200) for item in objects
    )


def _labelled(item: Object, labels: Mapping[str, str]) -> dict[str, Any]:
    metadata = dict(item["metadata"])
    if labels:
        metadata["labels"] = {**metadata.get("labels", {}), **labels}
    return {**item, "metadata": metadata}


class _Dumper(yaml.SafeDumper):
    """YAML with multi-line texts as blocks, and without references, so that a diff shows the line that changed."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's interface
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
