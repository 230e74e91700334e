"""The table of open ports and their peers, from which the cloud's firewalls are made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network
from urllib.parse import urlsplit

from model import ports
from model.ports import ICMP, Icmp, Port
from model.roles import Role

ANYWHERE = (IPv4Network("0.0.0.0/0"),)
ALWAYS_OUTBOUND = (ports.DNS_UDP, ports.DNS_TCP, ports.NTP, ports.HTTP, ports.HTTPS)
"""Ports for DNS, time and downloads: Debian's packages, releases, images, and the requests of pods."""
MOST_RULES = 50
"""Maximum number of rules of a DigitalOcean firewall, inbound and outbound together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Allow:
    """A port, and the peers it is open from or to: hosts of some roles, address ranges, or both."""

    port: Port | Icmp
    roles: tuple[Role, ...] = ()
    ranges: tuple[IPv4Network, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Firewall:
    """Allowed traffic of the hosts with these roles; all other traffic is dropped."""

    name: str
    roles: tuple[Role, ...]
    inbound: tuple[Allow, ...]
    outbound: tuple[Allow, ...] = ()


def firewalls(
    *,
    api_port: int,
    ssh_allowed: Iterable[IPv4Network],
    api_allowed: Iterable[IPv4Network],
    node_ports_allowed: Iterable[IPv4Network] = (),
    ingress: Iterable[Allow] = (),
    icmp_allowed: Iterable[IPv4Network] = (),
    outbound: Iterable[Allow] = (),
    nodes_reach_kubelets: bool = False,
    cloud_controller: bool = False,
    mirror: str | None,
    registry: str | None = None,
) -> tuple[Firewall, ...]:
    """A cluster's firewalls, one for each purpose.

    `ingress` has the ports that are open on nodes, with their peers. `icmp_allowed` has the ranges that may ping every
    host. `outbound` has what every host may reach besides DNS, time and downloads. `mirror` and `registry` are the URLs
    of releases and images if they do not come from upstream. With `cloud_controller`, load balancers at
    `node_ports_allowed` may call kube-proxy's health check.

    The rules also name roles without hosts: firewalls change before hosts are deleted, and the last hosts of a role
    must reach the others until they are drained.
    """
    overlay = (Role.KUBE_MASTER, Role.KUBE_NODE)
    ssh, api, services = tuple(ssh_allowed), tuple(api_allowed), tuple(node_ports_allowed)
    kube_api = Port(number=api_port)
    node_ports = (ports.NODE_PORTS_TCP, ports.NODE_PORTS_UDP)
    everywhere = dict.fromkeys((*ALWAYS_OUTBOUND, _download_port(mirror), _download_port(registry)))
    pings, kubelet_clients = tuple(icmp_allowed), overlay if nodes_reach_kubelets else (Role.KUBE_MASTER,)
    doors = tuple(ingress)
    wanted = (
        Firewall(
            name="hosts",
            roles=tuple(Role),
            inbound=(
                Allow(port=ports.SSH, ranges=ssh),
                Allow(port=ports.SSH_BOOTSTRAP, ranges=ssh),
                *((Allow(port=ICMP, ranges=pings),) if pings else ()),
            ),
            outbound=(
                *(Allow(port=port, ranges=ANYWHERE) for port in everywhere),
                *outbound,
            ),
        ),
        Firewall(
            name="etcd",
            roles=(Role.ETCD,),
            inbound=(
                # For masters, and hosts that run flannel; members check each other's health.
                Allow(port=ports.ETCD_CLIENT, roles=(Role.ETCD, *overlay)),
                Allow(port=ports.ETCD_PEER, roles=(Role.ETCD,)),
            ),
            outbound=(
                Allow(port=ports.ETCD_CLIENT, roles=(Role.ETCD,)),
                Allow(port=ports.ETCD_PEER, roles=(Role.ETCD,)),
            ),
        ),
        Firewall(
            name="api",
            roles=(Role.KUBE_MASTER,),
            inbound=(Allow(port=kube_api, roles=overlay, ranges=api),),
            # Logs, exec and port-forward: the API server calls the kubelet.
            outbound=(Allow(port=ports.KUBELET, roles=overlay),),
        ),
        Firewall(
            name="nodes",
            roles=overlay,
            inbound=(
                Allow(port=ports.KUBELET, roles=kubelet_clients),
                *(Allow(port=port, roles=overlay, ranges=services) for port in node_ports),
                # A load balancer sends no traffic to a node if it cannot call kube-proxy's health check there.
                *((Allow(port=ports.KUBE_PROXY_HEALTH, ranges=services),) if cloud_controller and services else ()),
            ),
            outbound=(
                *(Allow(port=port, roles=overlay) for port in node_ports),
                *((Allow(port=ports.KUBELET, roles=overlay),) if nodes_reach_kubelets else ()),
            ),
        ),
        Firewall(
            name="overlay",
            roles=overlay,
            inbound=(Allow(port=ports.VXLAN, roles=overlay),),
            outbound=(
                Allow(port=ports.VXLAN, roles=overlay),
                Allow(port=kube_api, roles=(Role.KUBE_MASTER,)),
                Allow(port=ports.ETCD_CLIENT, roles=(Role.ETCD,)),
            ),
        ),
        Firewall(name="ingress", roles=(Role.KUBE_NODE,), inbound=doors),
    )
    return tuple(each for each in wanted if each.inbound or each.outbound)  # the API refuses an empty one


def _download_port(source: str | None) -> Port:
    url = urlsplit(source or "https://")
    return Port(number=url.port or (ports.HTTPS if url.scheme == "https" else ports.HTTP).number)
