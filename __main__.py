"""A highly available Kubernetes cluster, top to bottom."""

from __future__ import annotations

import gc
import os
import signal

import pulumi

import provider_packages

# The run makes many objects, drops few and ends soon: garbage collection would take a third of its time.
gc.disable()
provider_packages.install()
# The SDK waits for the engine at each debug message, which takes another third. The engine's --debug does not reach
# the program; its environment variable does.
if not os.environ.get("PULUMI_OPTION_DEBUG"):
    pulumi.log.debug = lambda *_message, **_options: None

import preflight
from components import outputs
from components.api_names import api_records
from components.dns import DnsRecords
from components.droplets import Droplets
from components.etcd import Etcd, FormerMembers
from components.firewall import Firewalls
from components.flannel import Flannel
from components.kubectl import Kubectl
from components.network import Network
from components.objects import Objects
from components.pki import Pki
from components.registration import Registrations, Removals
from components.rolling import by_pool
from components.services import Services
from components.uninstalls import Uninstalls
from model.addons import coredns, rbac
from model.services import (
    containerd,
    kube_apiserver,
    kube_controller_manager,
    kube_proxy,
    kube_scheduler,
    kubelet,
)
from model.steps.objects import Rollout
from model.steps.uninstall import Job
from settings import cloud_offers
from settings.changes import remembered
from settings.cluster import cluster_of
from settings.last_up import past_of
from settings.load import load

# If a step fails, the engine interrupts the program, which then ends without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

preflight.check(os.environ)
settings = load()
past = past_of(settings)
cluster = cluster_of(settings, past)
topology = cluster.topology
cloud_offers.check(topology=topology, pools=settings.pools, region=settings.region, image=settings.image, past=past)

# The private network, and firewalls, which exist before the first host.
network = Network(
    "network", topology=topology, region=settings.region, vpc_cidr=settings.vpc_cidr, protect=settings.protect
)
firewalls = Firewalls("firewalls", cluster=cluster.name, firewalls=settings.firewalls, scoped_tags=network.scoped_tags)

# The hosts, and their DNS names.
droplets = Droplets(
    "droplets",
    cluster=cluster,
    network=network,
    region=settings.region,
    images={pool.name: pool.image or settings.image for pool in settings.pools},
    zone_id=settings.zone.id,
    ssh_ca_public_key=settings.ssh_ca_public_key,
    protect=settings.protect,
    after=[firewalls],
)
# The engine begins what is registered first: keys and certificates are made while the hosts boot.
pki = Pki(
    "pki",
    cluster,
    lifetimes=settings.certificates.lifetimes,
    encryption_keys=settings.encryption_keys,
    protect=settings.protect,
)
masters = droplets.of(topology.masters)
nodes = droplets.of(topology.nodes)
# What ends a role of a host that stays. It comes before all that must be gone by then.
uninstalls = Uninstalls("uninstalls", hosts=droplets.hosts.values()).of

# The control plane: each part starts when the parts that it depends on are healthy.
etcd = Etcd("etcd", cluster, pki, hosts=droplets.of(topology.etcd), uninstalls=uninstalls[Job.ETCD])
flannel = Flannel(
    "flannel", cluster, pki, hosts=nodes, etcd_host=droplets.hosts[topology.etcd[0].name], etcd=etcd.ready
)
apiservers = Services(
    "apiservers",
    kube_apiserver.service,
    cluster,
    pki,
    kind="kubernetes:Apiservers",
    hosts=masters,
    after=etcd.ready,
    on_same_host=[uninstalls[Job.CONTROL_PLANE]],
)
for name, service, kind in (
    ("controller-managers", kube_controller_manager.service, "kubernetes:ControllerManagers"),
    ("schedulers", kube_scheduler.service, "kubernetes:Schedulers"),
):
    Services(name, service, cluster, pki, kind=kind, hosts=masters, on_same_host=[apiservers.ready])
FormerMembers(
    "former-members",
    cluster,
    host=droplets.hosts[topology.etcd[0].name],
    clients=[*flannel.ready.values(), *apiservers.ready.values()],
)
api = DnsRecords(
    "api",
    zone_id=settings.zone.id,
    records=api_records(cluster, masters, apiservers.ready, uninstalls[Job.CONTROL_PLANE]),
)

# kubectl on masters, and the steps that remove Node objects of earlier droplets.
kubectl = Kubectl(
    "kubectl",
    cluster,
    pki,
    masters=masters,
    apiservers=apiservers.ready,
    uninstalls=uninstalls[Job.CONTROL_PLANE],
)
removals = Removals("removals", hosts=nodes, kubectl=kubectl, uninstalls=uninstalls[Job.NODE], vpc=network.vpc)

# The services that run pods, on masters and nodes. Pools change in parallel.
containerds = Services(
    "containerds",
    containerd.service,
    cluster,
    pki,
    kind="containerd:Runtimes",
    hosts=nodes,
    lanes=by_pool,
)
kubelets = Services(
    "kubelets",
    kubelet.service,
    cluster,
    pki,
    kind="kubernetes:Kubelets",
    hosts=nodes,
    # A kubelet calls the API by name and may reach any API server. It must not be newer than that one, so all API
    # servers come first.
    after=api.records,
    on_same_host=[flannel.ready, containerds.ready, removals.ready],
    lanes=by_pool,
)
proxies = Services(
    "proxies",
    kube_proxy.service,
    cluster,
    pki,
    kind="kubernetes:Proxies",
    hosts=nodes,
    on_same_host=[kubelets.ready],
    lanes=by_pool,
)

# Objects in the API: role bindings, labels and taints of nodes, and the cluster's DNS.
Objects("rbac", kubectl=kubectl, objects=rbac.rbac())
registrations = Registrations("registrations", hosts=nodes, kubectl=kubectl, nodes=proxies.ready)
Objects(
    "coredns",
    kubectl=kubectl,
    objects=coredns.coredns(image=settings.images.coredns, services=cluster.services),
    rollout=Rollout(deployment=coredns.NAME, labels=coredns.LABELS),
    after=registrations.ready.values(),
)

outputs.export(cluster, pki, droplets, settings=remembered(settings))
