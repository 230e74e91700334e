"""Objects of the Kubernetes API that the graph keeps: as Python's until the last moment, and then as readable YAML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

Object = Mapping[str, Any]

FIELD_MANAGER = "triplane"
"""Field manager of server-side apply (docs/reference/using-api/server-side-apply)."""
SET_LABEL = "triplane/objects"
"""Names the set that an object was applied with: what is in no manifest any more is found by it."""
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
"""Kinds that Triplane applies, or once applied → their plurals. Objects that left their set are looked for in these."""


def as_yaml(objects: Iterable[Object], *, labels: Mapping[str, str] | None = None) -> str:
    """Write a stream of documents, each object with these labels beside its own."""
    return "---\n".join(
        yaml.dump(_labelled(item, labels or {}), Dumper=_Dumper, sort_keys=False, width=200) for item in objects
    )


def _labelled(item: Object, labels: Mapping[str, str]) -> dict[str, Any]:
    metadata = dict(item["metadata"])
    if labels:
        metadata["labels"] = {**metadata.get("labels", {}), **labels}
    return {**item, "metadata": metadata}


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as such, and nothing by reference, so that a diff shows the line that changed."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's interface
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
