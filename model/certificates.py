"""Certificates: subject, names, usages and the authority that signs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from model.topology import HostSpec

CLUSTER_DOMAIN = "cluster.local"


class Authority(StrEnum):
    """A certificate authority, each a trust domain of its own."""

    ETCD_PEER = "etcd-peer-ca"
    """Signs members of the etcd cluster."""
    ETCD_SERVER = "etcd-server-ca"
    """Signs etcd's serving certificates."""
    ETCD_CLIENT = "etcd-client-ca"
    """Signs clients of etcd, and nothing else: etcd accepts any certificate under it."""
    KUBERNETES = "kubernetes-ca"
    """Signs the API server and its clients."""
    CLUSTER_SIGNING = "cluster-signing-ca"
    """Signs certificate requests in the cluster, and kubelets' serving certificates."""
    FRONT_PROXY = "front-proxy-ca"
    """Signs front proxies, which call aggregated API servers on behalf of users."""


class Use(StrEnum):
    """Key usages by the names that the tls provider gives them (RFC 5280, 4.2.1.3 and 4.2.1.12)."""

    DIGITAL_SIGNATURE = "digital_signature"
    CERT_SIGNING = "cert_signing"
    CRL_SIGNING = "crl_signing"
    SERVER = "server_auth"
    CLIENT = "client_auth"


CA_USES = (Use.CERT_SIGNING, Use.CRL_SIGNING, Use.DIGITAL_SIGNATURE)
SERVER_USES = (Use.DIGITAL_SIGNATURE, Use.SERVER)
CLIENT_USES = (Use.DIGITAL_SIGNATURE, Use.CLIENT)
PEER_USES = (Use.DIGITAL_SIGNATURE, Use.SERVER, Use.CLIENT)
"""Uses of an etcd peer, which is both client and server (etcd, op-guide/security)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf:
    """A certificate for one holder on one host."""

    name: str
    authority: Authority
    common_name: str
    organization: str | None = None
    """The holder's group in Kubernetes."""
    dns_names: tuple[str, ...] = ()
    addresses: tuple[IPv4Address, ...] = ()
    uses: tuple[Use, ...]


LOOPBACK = IPv4Address("127.0.0.1")
NODE_USER = "system:node:"
"""Prefix of a kubelet's user, before the node's name (docs/reference/access-authn-authz/node)."""


def etcd_client(holder: str, host: HostSpec) -> Leaf:
    """A client of etcd; it has no DNS names, since etcd would compare them with the caller's address."""
    return Leaf(
        name=f"{holder}-{host.name}",
        authority=Authority.ETCD_CLIENT,
        common_name=f"{holder}-{host.name}",
        uses=CLIENT_USES,
    )


def kubernetes_client(name: str, user: str, group: str | None = None) -> Leaf:
    """A client of the API, with its user and group in Kubernetes."""
    return Leaf(name=name, authority=Authority.KUBERNETES, common_name=user, organization=group, uses=CLIENT_USES)


def admin() -> Leaf:
    """The operator; `system:masters` passes every authorizer, as the first administrator needs."""
    return kubernetes_client("admin", "admin", "system:masters")
