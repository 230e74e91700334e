"""Rules for certificates: strong keys, authorities that only sign, leaves with a single use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from policy.resource import Intent, Resource, Rule, StackRule, items

CURVES = ("P256", "P384", "P521")
SIGNING = {"cert_signing", "crl_signing"}
SERVER, CLIENT = "server_auth", "client_auth"
EVERYTHING, ADMINISTRATOR = "system:masters", "admin"
NODES, NODE = "system:nodes", "system:node:"
"""Group and name by which the Node authorizer and NodeRestriction limit a kubelet to its own node."""


def _key(resource: Resource, _: Intent) -> Iterator[str]:
    algorithm, curve = resource.get("algorithm"), resource.get("ecdsaCurve")
    if algorithm == "ECDSA" and curve not in CURVES:
        yield f"is on the curve {curve or 'P224 (the default)'}, which Go's TLS refuses. Set ecdsa_curve to P256."
    if algorithm not in {"ECDSA", "ED25519"}:
        yield f"is a key of the kind {algorithm}. Use ECDSA with P256; for SSH, ED25519 is fine too."


def _authority(resource: Resource, _: Intent) -> Iterator[str]:
    uses = set(items(resource.get("allowedUses")))
    if resource.get("isCaCertificate") is not True:
        yield "is self-signed and no authority. Have an authority sign it, or set is_ca_certificate."
    if "cert_signing" not in uses:
        yield "is an authority that may not sign. Add cert_signing to allowed_uses."
    if serving := uses & {SERVER, CLIENT}:
        yield f"is an authority that may also be a {' and '.join(sorted(serving))} certificate. Take that out."
    if resource.get("setSubjectKeyId") is not True:
        yield "has no subject key id, by which its leaves find it. Set set_subject_key_id."


def _leaf(resource: Resource, _: Intent) -> Iterator[str]:
    uses = set(items(resource.get("allowedUses")))
    if resource.get("isCaCertificate") or uses & SIGNING:
        yield "is a leaf that may sign others. Take is_ca_certificate and the signing uses out."
    if not uses & {SERVER, CLIENT}:
        yield "is neither for servers nor for clients, so that it is taken for both. Name the one it is for."
    if {SERVER, CLIENT} <= uses and not resource.name.startswith("etcd-peer-"):
        yield "is for servers and for clients at once, as only etcd's peers are. Name the one it is for."
    life, window = resource.get("validityPeriodHours"), resource.get("earlyRenewalHours")
    if isinstance(life, int | float) and isinstance(window or 0, int | float) and not 0 < (window or 0) < life:
        yield f"is renewed {window or 0} hours before its {life} are over. Choose a window inside its life."


def _group(resource: Resource, _: Intent) -> Iterator[str]:
    subject = resource.get("subject")
    if not isinstance(subject, Mapping):
        return
    name, group = str(subject.get("commonName")), subject.get("organization")
    if group == EVERYTHING and resource.name != ADMINISTRATOR:
        yield f"makes {name} one of {EVERYTHING}, whom no authorizer stops. Give it a group of its own, or none."
    if name.startswith(NODE) != (group == NODES):
        yield f"is {name} in the group {group}: a node is called {NODE}NAME and is in {NODES}, and nobody else is."


def _trust(resources: Sequence[Resource]) -> Iterator[tuple[Resource, str]]:
    """etcd accepts any certificate of its client CA, and any of its peer CA: both must sign nothing else."""
    signed: defaultdict[str, list[Resource]] = defaultdict(list)
    for resource in resources:
        authority = resource.get("caCertPem") if resource.type.endswith(":LocallySignedCert") else None
        if isinstance(authority, str):
            signed[authority].append(resource)
    for leaves in signed.values():
        kinds = {_etcd_kind(leaf) for leaf in leaves}
        if len(kinds) > 1:
            for leaf in leaves:
                if kind := _etcd_kind(leaf):
                    others = ", ".join(sorted(other or "others" for other in kinds - {kind}))
                    yield leaf, f"is one of etcd's {kind}, under an authority that signs {others} too. Use its own."


def _etcd_kind(leaf: Resource) -> str | None:
    """Tell which of etcd's three trust domains a leaf is in, if any."""
    uses = set(items(leaf.get("allowedUses")))
    if leaf.name.startswith("etcd-peer-"):
        return "peers"
    if leaf.name.startswith("etcd-server-"):
        return "servers"
    if "etcd-client" in leaf.name or leaf.name.startswith("etcdctl"):
        return "clients"
    return "peers" if {SERVER, CLIENT} <= uses else None


RULES = (
    Rule(
        name="keys-go-can-use",
        description="Private keys are ECDSA on P-256 or better, or Ed25519.",
        types=(":PrivateKey",),
        check=_key,
    ),
    Rule(
        name="authorities-only-sign",
        description="An authority signs, and is never a server's or client's certificate itself.",
        types=(":SelfSignedCert",),
        check=_authority,
    ),
    Rule(
        name="leaves-do-one-thing",
        description="A leaf signs nothing, is for a server or for a client, and is renewed inside its life.",
        types=(":LocallySignedCert",),
        check=_leaf,
    ),
    Rule(
        name="groups-as-narrow-as-can-be",
        description="The administrator alone is in system:masters, and nodes alone are in system:nodes.",
        types=(":CertRequest",),
        check=_group,
    ),
)
STACK_RULES = (
    StackRule(
        name="etcd-trust-domains",
        description="etcd's peers, servers and clients each have an authority that signs nothing else.",
        check=_trust,
    ),
)
