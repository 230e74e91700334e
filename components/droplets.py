"""All hosts of the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pulumi
import pulumi_digitalocean as digitalocean
import pulumi_tls as tls

from components.host import Host
from components.network import Network
from components.rolling import rolling, waits_for
from model.cluster import Cluster
from model.past import Past
from model.roles import Role
from model.topology import HostSpec

QUORUM_ROLES = frozenset({Role.ETCD, Role.KUBE_MASTER})


class Droplets(pulumi.ComponentResource):
    """Every pool's hosts, and the program's own SSH key.

    Hosts that share a role of the control plane form a chain once they are there, and so do the nodes of a pool: each
    waits until the previous one is ready, with everything that runs on it. So a change of size powers off one of them
    at a time. New ones are made side by side. `images` has slugs by the pool's name.
    """

    hosts: Mapping[str, Host]
    """Hosts by name."""
    deploy_key: tls.PrivateKey

    def __init__(
        self,
        name: str,
        *,
        cluster: Cluster,
        network: Network,
        region: str,
        images: Mapping[str, str],
        zone_id: str,
        ssh_ca_public_key: str | None,
        protect: bool,
        after: Iterable[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:host:Droplets", name, None, opts)
        topology, child = cluster.topology, pulumi.ResourceOptions(parent=self)
        self.deploy_key = tls.PrivateKey("deploy", algorithm="ED25519", opts=child)
        ssh_key = digitalocean.SshKey(
            "deploy",
            name=f"{topology.cluster}-deploy",
            public_key=self.deploy_key.public_key_openssh.apply(str.strip),
            opts=child,
        )

        def host(spec: HostSpec, before: Sequence[Host]) -> Host:
            return Host(
                spec,
                region=region,
                image=images[spec.pool],
                zone_id=zone_id,
                vpc_id=network.vpc_id,
                tags=_tags(spec, network, cluster.past),
                deploy_key=self.deploy_key,
                ssh_key_fingerprint=ssh_key.fingerprint,
                ssh_ca_public_key=ssh_ca_public_key,
                after=[*after, *(waits_for(other.ready) for other in before)],
                opts=child,
            )

        hosts = rolling(topology.hosts, host, lanes=_lanes, may_run=cluster.past.may_run)
        self.hosts = {host.name: host for host in hosts}
        # The engine deletes first what stands behind others, and stops at what is protected: this one stands behind all
        # hosts, and so does no data go before the keys and the network are refused.
        pulumi.Stash(
            "protection",
            input="stands behind all hosts",
            opts=pulumi.ResourceOptions(parent=self, depends_on=[host.droplet for host in hosts], protect=protect),
        )
        self.register_outputs({})

    def of(self, specs: Iterable[HostSpec]) -> tuple[Host, ...]:
        """These hosts, in this order."""
        return tuple(self.hosts[spec.name] for spec in specs)

    def known_hosts(self) -> pulumi.Output[str]:
        """Lines for an SSH client, by public name."""
        names = [host.spec.fqdn for host in self.hosts.values()]

        def lines(keys: list[str]) -> str:
            return "".join(f"{name} {key.strip()}\n" for name, key in zip(names, keys, strict=True))

        keys: pulumi.Output[list[str]] = pulumi.Output.all(*(host.host_key for host in self.hosts.values()))
        return keys.apply(lines)


def _lanes(spec: HostSpec) -> Iterable[str]:
    return sorted(spec.roles & QUORUM_ROLES) or [f"pool {spec.pool}"]


def _tags(spec: HostSpec, network: Network, past: Past) -> list[pulumi.Output[str]]:
    return [network.role_tags[role] for role in sorted(spec.roles)] + [
        network.scoped_tags[role] for role in sorted(past.admitted(spec))
    ]
