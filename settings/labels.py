"""Labels and taints that a pool may have: those that Kubernetes accepts, without those of other owners.

Syntax: k8s.io/apimachinery, pkg/api/validate/content (qualified names, label values). Owners: Kubernetes, "Well-Known
Labels, Annotations and Taints", and the admission plugin NodeRestriction. Each check returns the value, or raises
ValueError with what is wrong and what to write instead.
"""

from __future__ import annotations

import re

from model.roles import LABEL_PREFIX
from model.taints import EFFECTS, Taint
from settings.mistakes import write_one_of

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_DNS_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_PREFIX = re.compile(rf"{_DNS_LABEL}(\.{_DNS_LABEL})*")
_LONGEST_PREFIX = 253

_RESERVED = re.compile(r"(.*\.)?(kubernetes|k8s)\.io")
_FOR_PEOPLE = re.compile(r"topology\.kubernetes\.io|(.*\.)?node-restriction\.kubernetes\.io")
"""Prefixes whose labels Kubernetes leaves to the cluster's operator: zones and regions if no cloud provider sets them,
and labels that a kubelet may not set on its own node."""
_FOR_PEOPLE_KEYS = ("node.kubernetes.io/instance-type", "node.kubernetes.io/exclude-from-external-load-balancers")
_KUBELETS = ("kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch")


def label_key(key: str) -> str:
    """Accept the key of a label that a pool may choose."""
    _qualified(key)
    prefix = key.rpartition("/")[0]
    if key.startswith(LABEL_PREFIX):
        raise ValueError("follows from the pool's roles. Take it out.")
    if key in _KUBELETS:
        raise ValueError("is set by each kubelet itself. Take it out.")
    if _RESERVED.fullmatch(prefix) and not _FOR_PEOPLE.fullmatch(prefix) and key not in _FOR_PEOPLE_KEYS:
        raise ValueError(f"is Kubernetes' own: {prefix}/ is reserved. Write a prefix of yours, or none.")
    return key


def label_value(value: str, *, intro: str = "") -> str:
    """Accept the value of a label; it may be empty."""
    if not value or _NAME.fullmatch(value):
        return value
    raise ValueError(f"{intro}is not a label's value: nothing, or {_SYNTAX}.{_wish(value)}")


def taint(text: str) -> Taint:
    """Read `key=value:Effect` or `key:Effect`, as kubectl writes them.

    Raises ValueError with what is wrong and what to write instead; the caller checks the key and the value.
    """
    left, colon, effect = text.rpartition(":")
    key, _, value = left.partition("=")
    if not colon or not key:
        raise ValueError("is not a taint. Write key=value:effect or key:effect, e.g. dedicated=gpu:NoSchedule.")
    if effect not in EFFECTS:
        raise ValueError(f"has an unknown effect, {effect}. {write_one_of(effect, EFFECTS)}")
    return Taint(key=key, value=value, effect=effect)


def pool_taint(value: object) -> Taint:
    """Accept a taint that a pool may choose, as text in kubectl's notation."""
    if isinstance(value, Taint):
        return value
    if not isinstance(value, str):
        raise ValueError("is not a string. Write e.g. dedicated=gpu:NoSchedule.")  # noqa: TRY004 - pydantic wants ValueError
    found = taint(value)
    _qualified(found.key, f"has the key {found.key}, which ")
    label_value(found.value, intro=f"has the value {found.value}, which ")
    prefix = found.key.rpartition("/")[0]
    if found.key.startswith(LABEL_PREFIX):
        raise ValueError("has a key that follows from the pool's roles. Take it out.")
    if prefix == "node.kubernetes.io":
        raise ValueError("is the node lifecycle controller's to set and remove. Take it out.")
    if _RESERVED.fullmatch(prefix):
        raise ValueError(f"is Kubernetes' own: {prefix}/ is reserved. Write a prefix of yours, or none.")
    return found


def no_two_alike(taints: tuple[Taint, ...]) -> tuple[Taint, ...]:
    """Refuse two taints with the same key and effect, as the API does."""
    seen: set[tuple[str, str]] = set()
    for each in taints:
        if (each.key, each.effect) in seen:
            raise ValueError(f"has two taints of the key {each.key} and the effect {each.effect}. Write one of them.")
        seen.add((each.key, each.effect))
    return taints


_SYNTAX = "1 to 63 of letters, digits, -, _ and ., a letter or digit first and last"


def _qualified(key: str, intro: str = "") -> None:
    prefix, slash, name = key.rpartition("/")
    if slash and not (_PREFIX.fullmatch(prefix) and len(prefix) <= _LONGEST_PREFIX):
        raise ValueError(f"{intro}has a prefix that is not a DNS name. Write e.g. example.com/{name or 'name'}.")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{intro}is not a label's name: {_SYNTAX}.{_wish(name)}")


def _wish(text: str) -> str:
    wish = re.sub(r"[^A-Za-z0-9_.]+", "-", text)[:63].strip("-_.")
    return f" Write e.g. {wish}." if wish else ""
