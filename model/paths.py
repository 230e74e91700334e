"""Every path on a host, once."""

from __future__ import annotations

SSH_BOOTSTRAP = "/etc/systemd/system/ssh-bootstrap.service"
"""The door of the first connection, as user data opens it."""
STEP_LIBRARY = "/usr/local/lib/triplane/step.sh"
HOST_ENVIRONMENT = "/etc/triplane/host.env"
"""What a host knows of itself: PRIVATE_ADDRESS, read from the metadata service."""

MODULES = "/etc/modules-load.d/triplane.conf"
SSHD_DROP_IN = "/etc/ssh/sshd_config.d/10-triplane.conf"
SSH_USER_CA = "/etc/ssh/triplane-user-ca.pub"

ETCD_DATA = "/var/lib/etcd"
ETCD_ETC = "/etc/etcd"
ETCD_PKI = "/etc/etcd/pki"
ETCD_ENVIRONMENT = "/etc/etcd/etcd.env"
ETCD_BOOTSTRAP = "/etc/etcd/bootstrap.env"
"""ETCD_INITIAL_*: read by a member with an empty data directory only."""
ETCD_CTL_ENVIRONMENT = "/etc/etcd/etcdctl.env"

FLANNEL_ETC = "/etc/flannel"
FLANNEL_PKI = "/etc/flannel/pki"
FLANNEL_MEMBERS = "/etc/flannel/etcd-members"
FLANNEL_SUBNET = "/run/flannel/subnet.env"

CONTAINERD_ETC = "/etc/containerd"
CONTAINERD_CONFIGURATION = "/etc/containerd/config.toml"
CONTAINERD_DROP_INS = "/etc/containerd/conf.d/*.toml"
"""Where an image's vendor or an operator has his say."""
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
REGISTRIES = "/etc/containerd/certs.d"
REGISTRY = "/etc/containerd/certs.d/_default/hosts.toml"
"""For the images of every registry that has no file of its own."""

CNI = "/etc/cni"
CNI_ETC = "/etc/cni/net.d"
CNI_CONFIGURATION = "/etc/cni/net.d/10-flannel.conflist"
CNI_LEASES = "/var/lib/cni/networks"
"""host-local's: for each network a folder, in it for each address a file with the id of the sandbox that has it."""
POD_NETWORK = "/usr/local/lib/triplane/pod-network"
POD_NETWORK_TEMPLATE = "/usr/local/lib/triplane/pod-network.json"

KUBERNETES_ETC = "/etc/kubernetes"
KUBERNETES_PKI = "/etc/kubernetes/pki"
KUBERNETES_MEMBERS = "/etc/kubernetes/etcd-members"
AUDIT_LOG_DIRECTORY = "/var/log/kubernetes"
AUDIT_LOG = "/var/log/kubernetes/audit.log"
AUDIT_POLICY = "/etc/kubernetes/audit-policy.yaml"
AUTHENTICATION = "/etc/kubernetes/authentication.yaml"
ABAC_POLICY = "/etc/kubernetes/abac-policy.jsonl"
ADMISSION = "/etc/kubernetes/admission.yaml"
EVENT_RATE_LIMIT = "/etc/kubernetes/event-rate-limit.yaml"
ENCRYPTION = "/etc/kubernetes/encryption.yaml"
CONTROLLER_MANAGER_KUBECONFIG = "/etc/kubernetes/controller-manager.kubeconfig"
SCHEDULER_KUBECONFIG = "/etc/kubernetes/scheduler.kubeconfig"
SCHEDULER_CONFIGURATION = "/etc/kubernetes/scheduler.yaml"
KUBELET_CONFIGURATION = "/etc/kubernetes/kubelet.yaml"
KUBELET_DROP_INS = "/etc/kubernetes/kubelet.conf.d"
"""Where an image's vendor or an operator has his say: `*.conf`, read after the configuration."""
KUBELET_KUBECONFIG = "/etc/kubernetes/kubelet.kubeconfig"
KUBELET_PKI = "/etc/kubernetes/kubelet"
KUBELET_RENEWED = "/var/lib/kubelet/pki"
"""Where a kubelet keeps the client certificates that it has asked for itself."""
STATIC_PODS = "/etc/kubernetes/manifests"
POD_RESOLV_CONF = "/etc/kubernetes/resolv.conf"
"""A link to the file that names DNS servers which pods reach as well."""
KUBE_PROXY_CONFIGURATION = "/etc/kubernetes/kube-proxy.yaml"
KUBE_PROXY_KUBECONFIG = "/etc/kubernetes/kube-proxy.kubeconfig"


def installed(component: str, version: str) -> str:
    """Where a release's binaries stand: versions live side by side, and a unit names the one that it runs."""
    return f"/opt/triplane/{component}/{version}"


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
    """The id of the droplet that a step on a master is about; it goes when the kubeconfig does."""
    return f"{passing_kubeconfig(step)}.droplet"
