"""containerd, with runc and the CNI plugins: what runs pods, and what connects them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import tomli_w

from model import paths
from model.files import HostFile, as_script
from model.steps import cni, step, unit

NAME = "containerd"
RUNC = "runc.amd64"
"""As upstream calls the file."""


def pinned(reference: str) -> str:
    """An image by its digest alone, as containerd calls what it has pulled by tag and digest.

    It marks an image as pinned, so that kubelet never clears it away, only where the configuration says this name
    (containerd, internal/cri/server/images/image_pull.go, getLabels).
    """
    return re.sub(r":[^:/@]+@", "@", reference)


def configuration(*, pause: str, runc_version: str, cni_version: str) -> str:
    """The daemon's configuration (containerd, docs/cri/config.md); version 3 is read by 2.0 and all after it."""
    return _toml(
        {
            "version": 3,
            "imports": [paths.CONTAINERD_DROP_INS],
            "plugins": {
                "io.containerd.cri.v1.images": {
                    "pinned_images": {"sandbox": pinned(pause)},
                    "registry": {"config_path": paths.REGISTRIES},
                },
                "io.containerd.cri.v1.runtime": {
                    "cni": {
                        "bin_dirs": [paths.installed("cni-plugins", cni_version)],
                        "conf_dir": paths.CNI_ETC,
                    },
                    "containerd": {
                        "runtimes": {
                            "runc": {
                                "runtime_type": "io.containerd.runc.v2",
                                "options": {
                                    "BinaryName": f"{paths.installed('runc', runc_version)}/{RUNC}",
                                    # kubelet asks the runtime, and does the same.
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
    """Every image from there and nowhere else, whatever registry its name begins with (containerd, docs/hosts.md)."""
    return _toml({"server": registry, "capabilities": ["pull", "resolve"]})


def script(*, versions: Mapping[str, str], pause: str, registry: str | None) -> str:
    """Run containerd until it answers and has the sandbox image, then connect pods by flannel's lease.

    `versions` are those of containerd, runc and cni-plugins; `registry` is a URL.
    """
    installed = paths.installed(NAME, versions[NAME])
    daemon = (
        HostFile(
            path=paths.CONTAINERD_CONFIGURATION,
            content=configuration(pause=pause, runc_version=versions["runc"], cni_version=versions["cni-plugins"]),
        ),
        unit(NAME, NAME, installed=installed),
    )
    mirror = () if registry is None else (HostFile(path=paths.REGISTRY, content=registry_hosts(registry)),)
    sysctls = HostFile(
        path="/etc/sysctl.d/80-triplane-containers.conf",
        # Pods of one host talk over a bridge: only so do kube-proxy's rules see what they say.
        content="net.bridge.bridge-nf-call-iptables = 1\nnet.bridge.bridge-nf-call-ip6tables = 1\n",
        mode="644",
    )
    return step(
        NAME,
        files=(sysctls, *mirror, *cni.files(ctr=f"{installed}/ctr")),
        daemon="\n".join(map(as_script, daemon)),
        sysctls=sysctls.path,
        unused=None if mirror else paths.REGISTRY,
        registries=paths.REGISTRIES,
        ctr=f"{installed}/ctr",
        pause=pinned(pause),
        pod_network=cni.UNIT,
        depends_on=" ".join(file.path for file in daemon),
    )


def _toml(document: Mapping[str, Any]) -> str:
    return tomli_w.dumps(document)
