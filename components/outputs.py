"""Stack outputs: addresses, credentials, and commands to look around."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import pulumi

from components.droplets import Droplets
from components.pki import Pki
from components.secret import secret
from model import paths
from model.certificates import admin
from model.cluster import Cluster
from model.roles import Role
from model.secrets import Kubeconfig
from model.services import etcd

SSH = "ssh -i deploy_key -o IdentitiesOnly=yes -o UserKnownHostsFile=known_hosts"
ETCDCTL = f"set -a; . {paths.ETCD_CTL_ENVIRONMENT}; etcdctl"
KUBECTL = "kubectl --kubeconfig kubeconfig"


def export(cluster: Cluster, pki: Pki, droplets: Droplets, *, settings: Mapping[str, object]) -> None:
    """Export them all from the stack; `settings` are those that the next `up` compares with its own (model/past.py)."""
    topology = cluster.topology
    pulumi.export("apiEndpoint", cluster.public_api_url)
    pulumi.export("kubeconfig", pki.kubeconfig(Kubeconfig(admin(), cluster.public_api_url), cluster))
    pulumi.export(
        "hosts",
        [
            {
                "name": host.name,
                "fqdn": host.spec.fqdn,
                "droplet": host.spec.droplet_name,
                "privateName": host.spec.private_name,
                "roles": sorted(host.spec.roles),
                "admitted": sorted(cluster.past.admitted(host.spec)),
                "publicAddress": host.public_address,
                "privateAddress": host.private_address,
                "image": host.droplet.image,
                "size": host.droplet.size,
                "disk": host.droplet.disk,
                **({"etcd": asdict(etcd.origin(cluster, host.spec))} if Role.ETCD in host.spec.roles else {}),
            }
            for host in droplets.hosts.values()
        ],
    )
    pulumi.export("settings", settings)
    pulumi.export("certificates", pki.expiries())
    pulumi.export("knownHosts", droplets.known_hosts())
    pulumi.export("deployKey", secret(droplets.deploy_key.private_key_openssh))
    pulumi.export(
        "commands",
        {
            "kubeconfig": "(umask 077; pulumi stack output kubeconfig --show-secrets > kubeconfig)",
            "known hosts": "pulumi stack output knownHosts > known_hosts",
            "deploy key": "(umask 077; pulumi stack output deployKey --show-secrets > deploy_key)",
            "API health": f"{KUBECTL} get --raw '/readyz?verbose'",
            "leaders": f"{KUBECTL} --namespace kube-system get leases",
            "nodes": f"{KUBECTL} get nodes --output wide",
            "pods": f"{KUBECTL} get pods --all-namespaces --output wide",
            "etcd members": f"{SSH} root@{topology.etcd[0].fqdn} '{ETCDCTL} member list -w table'",
            "etcd health": f"{SSH} root@{topology.etcd[0].fqdn} '{ETCDCTL} endpoint health --cluster'",
            "pod subnet": f"{SSH} root@{topology.masters[0].fqdn} cat {paths.FLANNEL_SUBNET}",
            "containers": f"{SSH} root@{topology.nodes[0].fqdn} ctr --namespace k8s.io containers list",
        },
    )
