"""Conversion of settings to the model."""

from __future__ import annotations

from model.cluster import Cluster
from model.past import NOTHING, Past
from model.releases import Releases, load
from settings.schema import Settings


def cluster_of(settings: Settings, past: Past = NOTHING) -> Cluster:
    """Make the cluster that its services are made from."""
    mirror = settings.mirror
    releases = Releases(
        catalog=load(),
        versions=settings.versions.by_component(),
        mirror=mirror.url if mirror else None,
        digests=mirror.digests if mirror else {},
    )
    return Cluster(
        topology=settings.topology,
        releases=releases,
        pods=settings.pod_cidr,
        services=settings.service_cidr,
        api_port=settings.api_port,
        authorization_mode=settings.authorization_mode,
        extra_flags={str(component): flags for component, flags in settings.extra_flags.items()},
        cloud_controller=settings.cloud_controller,
        pause=settings.images.pause,
        registry=mirror.registry if mirror else None,
        past=past,
    )
