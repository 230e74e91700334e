"""Who holds which certificate: subject, names, usages and the authority that signs it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

from model.topology import INTERNAL, Node, Topology, api_service_address

CLUSTER_DOMAIN = "cluster.local"


class Authority(StrEnum):
    """A certificate authority, each a trust domain of its own."""

    ETCD_PEER = "etcd-peer-ca"
    """Who may join the etcd cluster."""
    ETCD_SERVER = "etcd-server-ca"
    """Who may answer as etcd."""
    ETCD_CLIENT = "etcd-client-ca"
    """Who may read and write etcd: it signs nothing else, for etcd takes any certificate under it."""
    KUBERNETES = "kubernetes-ca"
    """The API server and its own clients."""
    CLUSTER_SIGNING = "cluster-signing-ca"
    """What the controller manager signs for certificate requests in the cluster; and who may answer as a kubelet."""
    FRONT_PROXY = "front-proxy-ca"
    """Who may speak for somebody else to an aggregated API server."""


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
"""An etcd peer both calls and is called (etcd, op-guide/security)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf:
    """A certificate for one holder on one host."""

    name: str
    authority: Authority
    common_name: str
    organization: str | None = None
    """The group that Kubernetes sees the holder in."""
    dns_names: tuple[str, ...] = ()
    addresses: tuple[IPv4Address, ...] = ()
    uses: tuple[Use, ...]


LOOPBACK = IPv4Address("127.0.0.1")
NODE_USER = "system:node:"
"""What a kubelet's user begins with, before the node's name (docs/reference/access-authn-authz/node)."""


def etcd_peer(node: Node) -> Leaf:
    """What a member shows its peers; they look the name up and compare it with the caller's address."""
    return Leaf(
        name=f"etcd-peer-{node.name}",
        authority=Authority.ETCD_PEER,
        common_name=node.private_name,
        dns_names=(node.private_name,),
        uses=PEER_USES,
    )


def etcd_server(node: Node) -> Leaf:
    """What a member shows its clients."""
    return Leaf(
        name=f"etcd-server-{node.name}",
        authority=Authority.ETCD_SERVER,
        common_name=node.private_name,
        dns_names=(node.private_name, "localhost"),
        addresses=(LOOPBACK,),
        uses=SERVER_USES,
    )


def etcd_client(holder: str, node: Node) -> Leaf:
    """A client of etcd; without names, since etcd would hold those against the caller's address."""
    return Leaf(
        name=f"{holder}-{node.name}",
        authority=Authority.ETCD_CLIENT,
        common_name=f"{holder}-{node.name}",
        uses=CLIENT_USES,
    )


def etcdctl(node: Node) -> Leaf:
    """For health checks and operators on an etcd host."""
    return etcd_client("etcdctl", node)


def apiserver_etcd_client(node: Node) -> Leaf:
    """The API server's way into etcd."""
    return etcd_client("apiserver-etcd-client", node)


def flannel_etcd_client(node: Node) -> Leaf:
    """flanneld's way into etcd."""
    return etcd_client("flannel-etcd-client", node)


def apiserver(node: Node, topology: Topology, services: IPv4Network) -> Leaf:
    """The API server's serving certificate: every name that it is called by, and no address that may change."""
    domain = topology.domain
    in_cluster = (
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        f"kubernetes.default.svc.{CLUSTER_DOMAIN}",
    )
    return Leaf(
        name=f"apiserver-{node.name}",
        authority=Authority.KUBERNETES,
        common_name="kube-apiserver",
        dns_names=(
            topology.api_name,
            topology.api_private_name,
            node.fqdn,
            node.private_name,
            f"*.{domain}",
            f"*.{INTERNAL}.{domain}",
            *in_cluster,
            "localhost",
        ),
        addresses=(LOOPBACK, api_service_address(services)),
        uses=SERVER_USES,
    )


def _kubernetes_client(name: str, user: str, group: str | None = None) -> Leaf:
    return Leaf(name=name, authority=Authority.KUBERNETES, common_name=user, organization=group, uses=CLIENT_USES)


def apiserver_kubelet_client(node: Node) -> Leaf:
    """How the API server calls kubelets; what it may do there is RBAC's to say, so it is in no privileged group."""
    return _kubernetes_client(f"apiserver-kubelet-client-{node.name}", "kube-apiserver-kubelet-client")


def controller_manager(node: Node) -> Leaf:
    """The user that Kubernetes' own role bindings know (docs/reference/access-authn-authz/rbac)."""
    return _kubernetes_client(f"controller-manager-{node.name}", "system:kube-controller-manager")


def scheduler(node: Node) -> Leaf:
    """The user that Kubernetes' own role bindings know (docs/reference/access-authn-authz/rbac)."""
    return _kubernetes_client(f"scheduler-{node.name}", "system:kube-scheduler")


def kubelet_client(node: Node) -> Leaf:
    """The user and the group that the Node authorizer and NodeRestriction hold to this one node and its pods."""
    return _kubernetes_client(f"kubelet-client-{node.name}", f"{NODE_USER}{node.node_name}", "system:nodes")


def kubelet_serving(node: Node) -> Leaf:
    """What a kubelet shows the API server, under the authority that signs kubelets' own requests too."""
    return Leaf(
        name=f"kubelet-serving-{node.name}",
        authority=Authority.CLUSTER_SIGNING,
        common_name=node.node_name,
        dns_names=(node.node_name,),
        uses=SERVER_USES,
    )


def kube_proxy(node: Node) -> Leaf:
    """The user that Kubernetes' own role bindings know (docs/reference/access-authn-authz/rbac)."""
    return _kubernetes_client(f"kube-proxy-{node.name}", "system:kube-proxy")


def front_proxy_client(node: Node) -> Leaf:
    """How the API server calls aggregated API servers."""
    return Leaf(
        name=f"front-proxy-client-{node.name}",
        authority=Authority.FRONT_PROXY,
        common_name="front-proxy-client",
        uses=CLIENT_USES,
    )


def admin() -> Leaf:
    """The operator; `system:masters` passes every authorizer, which is what a first administrator needs."""
    return _kubernetes_client("admin", "admin", "system:masters")


def leaves(topology: Topology, services: IPv4Network) -> tuple[Leaf, ...]:
    """Every leaf certificate of a cluster."""
    return (
        *(leaf for node in topology.etcd for leaf in (etcd_peer(node), etcd_server(node), etcdctl(node))),
        *(flannel_etcd_client(node) for node in topology.overlay),
        *(
            leaf
            for node in topology.masters
            for leaf in (
                apiserver(node, topology, services),
                apiserver_etcd_client(node),
                apiserver_kubelet_client(node),
                front_proxy_client(node),
                controller_manager(node),
                scheduler(node),
            )
        ),
        *(
            leaf
            for node in topology.kubelets
            for leaf in (kubelet_client(node), kubelet_serving(node), kube_proxy(node))
        ),
        admin(),
    )
