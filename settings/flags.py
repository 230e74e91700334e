"""Checks of extra flags: removed upstream, managed by Triplane, or unsafe."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from model.services.kube_apiserver import ADMISSION_PLUGINS
from model.services.registry import SERVICES
from settings.mistakes import one_of

MOST_PODS = 253
"""Maximum on a host: its /24, without the network's address, the bridge's address and the broadcast address."""

_RULES = {service.NAME: service.FLAG_RULES for service in SERVICES if service.FLAG_RULES is not None}

_VITAL_PLUGINS = ("NodeRestriction", "ServiceAccount", "NamespaceLifecycle")
_SECRET_VALUE = re.compile(r"-----BEGIN |://[^/@\s]*:[^/@\s]*@|\bdo[opr]_v1_[0-9a-f]{16}")

_NOT_IN_UNITS = re.compile(r"[^!-~]|[\"'\\]")
"""Spaces, non-printing characters, and the characters that systemd quotes with (systemd.service(5)). What it expands, $
and %, is escaped (model/flags.py)."""


def looks_secret(value: str) -> bool:
    """Tell whether a value must not be shown: key material, a token, or an address with a password in it."""
    return bool(_SECRET_VALUE.search(value))


def problem(component: str, flag: str, value: str) -> str | None:
    """Say what is wrong with an extra flag and what to do instead, or None. The text continues the flag's name."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*", flag):
        wish = flag.lstrip("-").split("=", 1)[0].replace("_", "-").lower()
        instead = f" Write {wish}." if re.fullmatch(r"[a-z][a-z0-9-]*", wish) else ""
        return f"is not a flag's name: lower-case words with dashes between, none before.{instead}"
    if looks_secret(value):
        return "has a secret in its value, and flags stand in plain view on hosts. Take it out, and replace the secret."
    if odd := _NOT_IN_UNITS.search(value):
        return f"has {odd.group()!r} in its value, which systemd would not hand on as it is. Write it without."
    if owner := _RULES[component].owned.get(flag):
        return f"is owned by Triplane: it follows from {owner}. Take it out."
    if gone := _gone(component, flag):
        return gone
    return _hole(component, flag, value)


def clash(component: str, asked: Mapping[str, str]) -> tuple[str, str] | None:
    """Return a flag that another one contradicts, and what is wrong with it."""
    disabled = asked.get("disable-admission-plugins", "")
    both = set(disabled.split(",")) & set(asked.get("enable-admission-plugins", "").split(",")) - {""}
    if component != "kube-apiserver" or not both:
        return None
    return (
        "disable-admission-plugins",
        f"switches off {' and '.join(sorted(both))}, which enable-admission-plugins switches on. Take it out of one.",
    )


def _gone(component: str, flag: str) -> str | None:
    rules = _RULES[component]
    prefixes = rules.removed_prefixes.items()
    gone = rules.removed.get(flag) or next((why for prefix, why in prefixes if flag.startswith(prefix)), None)
    if gone:
        return f"{gone}." if gone.startswith("is on its way") else f"{gone}. Take it out."
    if rules.read and flag not in rules.read:
        alone = one_of(rules.read)
        return f"is ignored by {component} beside its configuration file. Take it out: it reads only {alone}."
    return None


def _hole(component: str, flag: str, value: str) -> str | None:
    words = set(value.split(","))
    if component == "kube-apiserver" and flag == "token-auth-file":
        return "lets people in by passwords in a file. Take it out, and give them certificates."
    if flag == "enable-admission-plugins" and "AlwaysAdmit" in words:
        return "admits everything with AlwaysAdmit. Take that one out."
    if flag == "disable-admission-plugins" and (wanted := _wanted(words)):
        return wanted
    if flag == "use-service-account-credentials" and value.lower() != "true":
        return "gives every controller the rights of all. Take it out."
    if flag == "tls-min-version" and value in {"VersionTLS10", "VersionTLS11"}:
        return "allows broken TLS. Write VersionTLS12 or VersionTLS13."
    return _weak_kubelet(flag, value) if component == "kubelet" else None


def _wanted(disabled: Collection[str]) -> str | None:
    for names, why in (
        (_VITAL_PLUGINS, "the cluster's security stands on"),
        (ADMISSION_PLUGINS, "Triplane always enables"),
    ):
        if found := [name for name in names if name in disabled]:
            return f"switches off {' and '.join(found)}, which {why}. Take it out."
    return None


def _weak_kubelet(flag: str, value: str) -> str | None:
    """Say what section 4.2 of the CIS benchmark finds wrong, or that there are not enough addresses for the pods."""
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
