"""A highly available Kubernetes cluster, top to bottom."""

from __future__ import annotations

import gc
import os
import signal

import provider_packages

# A run that makes many objects, drops few and soon ends: collecting garbage would take a third of it.
gc.disable()
provider_packages.install()

import pulumi

import preflight
from components.apiserver import Apiservers
from components.containerd import Containerds
from components.controller_manager import ControllerManagers
from components.dns import Names, Record
from components.droplets import Droplets
from components.etcd import Etcd
from components.firewall import Firewalls
from components.flannel import Flannel
from components.kubeconfig import kubeconfig
from components.kubectl import Kubectl
from components.kubelet import Kubelets
from components.network import Network
from components.objects import Objects
from components.pki import Pki
from components.proxy import Proxies
from components.registration import Registrations, Removals
from components.scheduler import Schedulers
from components.secret import secret
from model import certificates
from model.objects import coredns, rbac
from model.releases import Releases, load
from model.steps.objects import Rollout
from settings import cloud_offers
from settings.load import load as load_settings

# Where a step fails, the engine interrupts the program: an end like any other, without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

preflight.check(os.environ)
settings = load_settings()
topology = settings.topology
releases = Releases(
    catalog=load(),
    versions=settings.versions.by_component(),
    mirror=settings.mirror.url if settings.mirror else None,
    digests=settings.mirror.digests if settings.mirror else {},
)
registry = settings.mirror.registry if settings.mirror else None
cloud_offers.check(topology=topology, pools=settings.pools, region=settings.region, image=settings.image)

# The ground: a private network, and firewalls that are there before the first host is.
network = Network("network", topology=topology, region=settings.region, vpc_cidr=settings.vpc_cidr)
walls = Firewalls("firewalls", cluster=settings.cluster, firewalls=settings.firewalls, scoped_tags=network.scoped_tags)

# Who may say that they are who.
pki = Pki(
    "pki",
    leaves=certificates.leaves(topology, settings.service_cidr),
    cluster=settings.cluster,
    ca_hours=settings.certificates.ca_hours,
    leaf_hours=settings.certificates.leaf_hours,
    renew_hours=settings.certificates.renew_hours,
    encryption_keys=settings.encryption_keys,
)

# Hosts, and their names.
droplets = Droplets(
    "droplets",
    topology=topology,
    network=network,
    region=settings.region,
    images={pool.name: pool.image or settings.image for pool in settings.pools},
    zone_id=settings.zone.id,
    ssh_ca_public_key=settings.ssh_ca_public_key,
    after=[walls],
)
masters = droplets.of(topology.masters)
nodes = droplets.of(topology.kubelets)

# What runs on them, each behind the gate of what it stands on.
etcd = Etcd(
    "etcd",
    hosts=droplets.of(topology.etcd),
    topology=topology,
    releases=releases,
    pki=pki,
    extra_flags=settings.extra_flags.get("etcd", {}),
)
flannel = Flannel(
    "flannel",
    hosts=droplets.of(topology.overlay),
    etcd_host=droplets.hosts[topology.etcd[0].name],
    topology=topology,
    releases=releases,
    pki=pki,
    pods=settings.pod_cidr,
    extra_flags=settings.extra_flags.get("flannel", {}),
    etcd=etcd.ready,
)
apiservers = Apiservers(
    "apiservers",
    hosts=masters,
    topology=topology,
    releases=releases,
    pki=pki,
    services=settings.service_cidr,
    api_port=settings.api_port,
    authorization_mode=settings.authorization_mode,
    extra_flags=settings.extra_flags.get("kube-apiserver", {}),
    etcd=etcd.ready,
)
ControllerManagers(
    "controller-managers",
    hosts=masters,
    cluster=settings.cluster,
    releases=releases,
    pki=pki,
    pods=settings.pod_cidr,
    services=settings.service_cidr,
    api_port=settings.api_port,
    extra_flags=settings.extra_flags.get("kube-controller-manager", {}),
    apiservers=apiservers.ready,
)
Schedulers(
    "schedulers",
    hosts=masters,
    cluster=settings.cluster,
    releases=releases,
    pki=pki,
    api_port=settings.api_port,
    extra_flags=settings.extra_flags.get("kube-scheduler", {}),
    apiservers=apiservers.ready,
)

# The API's names hold each master whose API server has answered once, and the first one.
api = Names(
    "api",
    zone_id=settings.zone.id,
    records=[
        Record(
            resource=f"{resource}-{host.node.name}",
            fqdn=fqdn,
            address=address,
            # The first one's is there early: a name that is asked for before it exists may be "no such name" for half
            # an hour, to resolvers that remember that.
            after=[apiservers.ready[host.node.name]] if host is not masters[0] else [],
        )
        for host in masters
        for resource, fqdn, address in (
            ("api", topology.api_name, host.public_address),
            ("api-internal", topology.api_private_name, host.private_address),
        )
    ],
)

# What asks the API on the operator's behalf, and what a node of an earlier droplet makes room for.
kubectl = Kubectl(
    "kubectl",
    host=masters[0],
    releases=releases,
    pki=pki,
    cluster=settings.cluster,
    api_port=settings.api_port,
    apiserver=apiservers.ready[masters[0].node.name],
)
removals = Removals("removals", hosts=nodes, kubectl=kubectl, vpc=network.vpc)

# What runs pods, on masters and nodes alike.
containerds = Containerds(
    "containerds",
    hosts=nodes,
    releases=releases,
    pause=settings.images.pause,
    registry=registry,
    flannel=flannel.ready,
)
kubelets = Kubelets(
    "kubelets",
    hosts=nodes,
    topology=topology,
    releases=releases,
    pki=pki,
    cluster=settings.cluster,
    services=settings.service_cidr,
    api_port=settings.api_port,
    extra_flags=settings.extra_flags.get("kubelet", {}),
    cloud_controller=settings.cloud_controller,
    containerds=containerds.ready,
    api=api.records,
    removals=removals.ready,
)
proxies = Proxies(
    "proxies",
    hosts=nodes,
    topology=topology,
    releases=releases,
    pki=pki,
    cluster=settings.cluster,
    pods=settings.pod_cidr,
    services=settings.service_cidr,
    api_port=settings.api_port,
    extra_flags=settings.extra_flags.get("kube-proxy", {}),
    cloud_controller=settings.cloud_controller,
    kubelets=kubelets.ready,
)

# What stands in the API: who may do what, what each node is for, and names for services.
Objects("rbac", kubectl=kubectl, objects=rbac.rbac())
registrations = Registrations("registrations", hosts=nodes, kubectl=kubectl, nodes=proxies.ready)
Objects(
    "coredns",
    kubectl=kubectl,
    objects=coredns.coredns(image=settings.images.coredns, services=settings.service_cidr),
    rollout=Rollout(deployment=coredns.NAME, labels=coredns.LABELS),
    after=registrations.ready.values(),
)

# What an operator needs next.
endpoint = f"https://{topology.api_name}:{settings.api_port}"
pulumi.export("apiEndpoint", endpoint)
pulumi.export("kubeconfig", kubeconfig(pki=pki, leaf=certificates.admin(), cluster=settings.cluster, server=endpoint))
pulumi.export(
    "nodes",
    [
        {
            "name": host.node.name,
            "fqdn": host.node.fqdn,
            "droplet": host.node.droplet_name,
            "privateName": host.node.private_name,
            "roles": sorted(host.node.roles),
            "publicAddress": host.public_address,
            "privateAddress": host.private_address,
        }
        for host in droplets.hosts.values()
    ],
)
pulumi.export("certificates", pki.expiries())
pulumi.export("knownHosts", droplets.known_hosts())
pulumi.export("deployKey", secret(droplets.deploy_key.private_key_openssh))
ssh = "ssh -i deploy_key -o IdentitiesOnly=yes -o UserKnownHostsFile=known_hosts"
etcdctl = "set -a; . /etc/etcd/etcdctl.env; etcdctl"
pulumi.export(
    "commands",
    {
        "kubeconfig": "(umask 077; pulumi stack output kubeconfig --show-secrets > kubeconfig)",
        "known hosts": "pulumi stack output knownHosts > known_hosts",
        "deploy key": "(umask 077; pulumi stack output deployKey --show-secrets > deploy_key)",
        "API health": "kubectl --kubeconfig kubeconfig get --raw '/readyz?verbose'",
        "leaders": "kubectl --kubeconfig kubeconfig --namespace kube-system get leases",
        "nodes": "kubectl --kubeconfig kubeconfig get nodes --output wide",
        "pods": "kubectl --kubeconfig kubeconfig get pods --all-namespaces --output wide",
        "etcd members": f"{ssh} root@{topology.etcd[0].fqdn} '{etcdctl} member list -w table'",
        "etcd health": f"{ssh} root@{topology.etcd[0].fqdn} '{etcdctl} endpoint health --cluster'",
        "pod subnet": f"{ssh} root@{topology.masters[0].fqdn} cat /run/flannel/subnet.env",
        "containers": f"{ssh} root@{topology.kubelets[0].fqdn} ctr --namespace k8s.io containers list",
    },
)
