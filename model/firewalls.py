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
"""Names, the time, and all that is downloaded: Debian's packages, releases, images, and what pods ask for."""
MOST_RULES = 50
"""Rules of a DigitalOcean firewall, both ways together."""


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
    """A cluster's firewalls, one a concern.

    `ingress` is open on nodes and to whom, `icmp_allowed` who may ping every host, `outbound` what every host reaches
    beside names, time and downloads. `mirror` and `registry` are the URLs that releases and images come from, where
    those are not upstream's. With `cloud_controller`, load balancers at `node_ports_allowed` may ask kube-proxy for
    its health.

    Roles that no host has stand in them as well: firewalls change before hosts go, and the last hosts of a role must
    reach the others until they are drained.
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
                # Masters, and hosts that run flannel; members ask each other about their health.
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
                # A load balancer sends nothing to a node whose kube-proxy it cannot ask for its health.
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
    return tuple(each for each in wanted if each.inbound or each.outbound)  # an empty one is refused by the API


def _download_port(source: str | None) -> Port:
    url = urlsplit(source or "https://")
    return Port(number=url.port or (ports.HTTPS if url.scheme == "https" else ports.HTTP).number)
