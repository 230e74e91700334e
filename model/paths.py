"""Paths on a host that more than one service uses. The other paths of a service are in its own file."""

from __future__ import annotations

SSH_BOOTSTRAP = "/etc/systemd/system/ssh-bootstrap.service"
"""Unit that opens the bootstrap port for the first connection; it comes with the user data."""
STEP_LIBRARY = "/usr/local/lib/triplane/step.sh"
HOST_ENVIRONMENT = "/etc/triplane/host.env"
"""Environment file with PRIVATE_ADDRESS and DROPLET_ID, from the metadata service."""

MODULES = "/etc/modules-load.d/triplane.conf"
SSHD_DROP_IN = "/etc/ssh/sshd_config.d/10-triplane.conf"
SSH_USER_CA = "/etc/ssh/triplane-user-ca.pub"

ETCD_CTL_ENVIRONMENT = "/etc/etcd/etcdctl.env"

FLANNEL_SUBNET = "/run/flannel/subnet.env"

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"

CNI = "/etc/cni"
CNI_ETC = "/etc/cni/net.d"
CNI_CONFIGURATION = "/etc/cni/net.d/10-flannel.conflist"
CNI_LEASES = "/var/lib/cni/networks"
"""Folder of the plugin host-local. A network has a folder in it, with a file per address: the sandbox's id."""
POD_NETWORK = "/usr/local/lib/triplane/pod-network"
POD_NETWORK_TEMPLATE = "/usr/local/lib/triplane/pod-network.json"

KUBERNETES_ETC = "/etc/kubernetes"
KUBERNETES_PKI = "/etc/kubernetes/pki"


APPLIED = "/var/lib/triplane/applied"
"""Folder with a mark per unit that passed its gate (assets/steps/step.sh)."""
RELEASES = "/opt/triplane"


def installed(component: str, version: str) -> str:
    """Directory of a release's binaries: each version has its own, and a unit names the version that it runs."""
    return f"{RELEASES}/{component}/{version}"


def versions(component: str) -> str:
    """Directory of all versions of a component that is on its host for one service alone."""
    return f"{RELEASES}/{component}"


def program(component: str, name: str) -> tuple[str, str]:
    """Patterns of a program in every version of its component, and of the digest beside it (assets/steps/step.sh)."""
    return installed(component, f"*/{name}"), installed(component, f"*/.{name}.sha256")


def unit(name: str) -> str:
    """A systemd unit file."""
    return f"/etc/systemd/system/{name}.service"


def path_unit(name: str) -> str:
    """A systemd unit that starts the service of the same name whenever a file changes."""
    return f"/etc/systemd/system/{name}.path"


def certificate(directory: str, name: str) -> str:
    """A PEM certificate (or bundle of them)."""
    return f"{directory}/{name}.crt"


def key(directory: str, name: str) -> str:
    """A PEM private key."""
    return f"{directory}/{name}.key"


def passing_kubeconfig(step: str) -> str:
    """The administrator's kubeconfig, in memory and only while the step runs."""
    return f"/run/triplane/{step}.kubeconfig"


def passing_droplet(step: str) -> str:
    """The id of the droplet of the node that a step changes; it is deleted together with the kubeconfig."""
    return f"{passing_kubeconfig(step)}.droplet"
