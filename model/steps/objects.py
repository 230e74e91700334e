"""Objects in the API: applied, and removed when they are no longer wanted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from model.addons import KINDS, SET_LABEL, SYSTEM, Object, as_yaml
from model.steps.kubectl import kubectl_step

ROLLOUT_SECONDS = 300
"""Time limit for pulling images and for replicas to be ready, one after the other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout:
    """A Deployment in kube-system to wait for; `labels` are its pods'."""

    deployment: str
    labels: Mapping[str, str]


def script(*, name: str, objects: Iterable[Object], rollout: Rollout | None = None) -> str:
    """Apply the objects of the set `name`, wait until they exist and, with a rollout, until its pods are available.

    Raises ValueError for an object of a kind that is not searched for objects to remove.
    """
    objects = tuple(objects)
    if unknown := {item["kind"] for item in objects} - KINDS.keys():
        raise ValueError(f"objects {name}: add {', '.join(sorted(unknown))} to KINDS of model/addons/__init__.py")
    return kubectl_step(
        "objects",
        name=name,
        manifests=as_yaml(objects, labels={"app.kubernetes.io/managed-by": "triplane", SET_LABEL: name}),
        set_label=SET_LABEL,
        kinds=",".join(KINDS.values()),
        system=SYSTEM,
        rollout=rollout,
        selector=",".join(f"{key}={value}" for key, value in rollout.labels.items()) if rollout else "",
        seconds=ROLLOUT_SECONDS,
    )
