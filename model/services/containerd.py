"""containerd, with runc and the CNI plugins: the programs that run pods and connect them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import tomli_w

from model import paths
from model.cluster import Cluster
from model.files import HostFile, as_script
from model.secrets import SecretFile
from model.service import Binaries, Health, Service
from model.services import cni
from model.steps import step, unit
from model.topology import KUBELET_ROLES, HostSpec

NAME = UNIT = "containerd"
ROLES = tuple(KUBELET_ROLES)
BINARIES = (
    Binaries(component="containerd", file="containerd", step="containerd", links=("ctr",)),
    Binaries(component="runc", file="runc", step="runc"),
    Binaries(component="cni-plugins", file="cni-plugins", step="cni-plugins"),
)
FLAG_RULES = None
"""containerd takes no extra flags: `conf.d` is for an operator's own configuration."""
HEALTH = Health(command='"$directory/ctr" version >/dev/null 2>&1')
CONFIGURATION = "/etc/containerd/config.toml"
DROP_INS = "/etc/containerd/conf.d/*.toml"
"""Configuration files of an image's vendor or an operator."""
REGISTRIES = "/etc/containerd/certs.d"
REGISTRY = f"{REGISTRIES}/_default/hosts.toml"
"""File for the images of every registry that has no file of its own."""
SYSCTLS = "/etc/sysctl.d/80-triplane-containers.conf"
OWN_PATHS = (
    "/var/lib/containerd",
    "/var/lib/cni",
    CONFIGURATION,
    REGISTRY,
    SYSCTLS,
    *cni.OWN_PATHS,
    *(paths.versions(each.component) for each in BINARIES),
    paths.unit(UNIT),
)
RUNC = "runc.amd64"
"""Upstream's file name."""


def pinned(reference: str) -> str:
    """An image by its digest alone: containerd uses this name for an image that it pulled by tag and digest.

    If the configuration has this name, containerd marks the image as pinned, so that kubelet never removes it
    (containerd, internal/cri/server/images/image_pull.go, getLabels).
    """
    return re.sub(r":[^:/@]+@", "@", reference)


def configuration(cluster: Cluster) -> str:
    """The daemon's configuration (containerd, docs/cri/config.md); containerd 2.0 and later read version 3."""
    return _toml(
        {
            "version": 3,
            "imports": [DROP_INS],
            "plugins": {
                "io.containerd.cri.v1.images": {
                    "pinned_images": {"sandbox": pinned(cluster.pause)},
                    "registry": {"config_path": REGISTRIES},
                },
                "io.containerd.cri.v1.runtime": {
                    "cni": {
                        "bin_dirs": [cluster.installed("cni-plugins")],
                        "conf_dir": paths.CNI_ETC,
                    },
                    "containerd": {
                        "runtimes": {
                            "runc": {
                                "runtime_type": "io.containerd.runc.v2",
                                "options": {
                                    "BinaryName": f"{cluster.installed('runc')}/{RUNC}",
                                    # kubelet asks the runtime for this setting, and uses the same.
                                    "SystemdCgroup": True,
                                },
                            }
                        }
                    },
                },
            },
        }
    )


def registry_hosts(registry: str) -> str:
    """Configuration that pulls images of every registry from this one alone (containerd, docs/hosts.md)."""
    return _toml({"server": registry, "capabilities": ["pull", "resolve"]})


def secrets(_cluster: Cluster, _host: HostSpec) -> tuple[SecretFile, ...]:
    """None: it pulls public images only."""
    return ()


def service(cluster: Cluster, _host: HostSpec) -> Service:
    """Run containerd until it answers and has the sandbox image, then set up the pod network from flannel's lease."""
    installed = cluster.installed(NAME)
    daemon = (
        HostFile(path=CONFIGURATION, content=configuration(cluster)),
        unit(NAME, UNIT, installed=installed),
    )
    registries = [] if cluster.registry is None else [registry_hosts(cluster.registry)]
    mirror = tuple(HostFile(path=REGISTRY, content=content) for content in registries)
    sysctls = HostFile(
        path=SYSCTLS,
        # Pods of one host talk over a bridge: without these, kube-proxy's rules do not see that traffic.
        content="net.bridge.bridge-nf-call-iptables = 1\nnet.bridge.bridge-nf-call-ip6tables = 1\n",
        mode="644",
    )
    script = step(
        NAME,
        files=(sysctls, *mirror, *cni.files(ctr=f"{installed}/ctr")),
        daemon="\n".join(map(as_script, daemon)),
        sysctls=sysctls.path,
        unused=None if mirror else REGISTRY,
        registries=REGISTRIES,
        ctr=f"{installed}/ctr",
        pause=pinned(cluster.pause),
        pod_network=cni.UNIT,
        # The step writes them late, after it has the image that they name.
        depends_on=" ".join(file.path for file in daemon),
    )
    return Service(name=NAME, binaries=BINARIES, script=script)


def _toml(document: Mapping[str, Any]) -> str:
    return tomli_w.dumps(document)
