"""First steps on a new host: its user data, its host key, and everything that later steps need."""

from __future__ import annotations

from base64 import b64encode
from pathlib import PurePosixPath

from model import paths, ports
from model.assets import read, render
from model.files import END_OF_FILE, HostFile, as_script
from model.steps import step

LIBRARY = "steps/step.sh"
BOOT_SECONDS = 600
"""Time limit for cloud-init, including the tasks of an image's vendor."""

APT_SECONDS = 420
"""Time limit for a call of apt, which waits up to 300 s for the lock of another apt."""

PROGRAMS = {
    "curl": "curl",
    "modprobe": "kmod",
    "openssl": "openssl",
    "ps": "procps",
    "ss": "iproute2",
    "sysctl": "procps",
}
"""Programs that steps use and that not every Debian or Ubuntu has → their packages."""
OVERLAY_PROGRAMS = {
    "ip": "iproute2",
    "nft": "nftables",
    # flanneld exits without these two, whichever rules it writes (flannel, pkg/trafficmngr/iptables/iptables.go).
    "iptables": "iptables",
    "ip6tables": "iptables",
}
"""The same, for hosts on the pod network."""
MODULES = HostFile(path=paths.MODULES, content="br_netfilter\noverlay\n", mode="644")


def user_data(bootstrap_private_key: str) -> str:
    """Cloud-config that opens the bootstrap port; it does nothing else, because a change of it rebuilds the host."""
    return render(
        "user-data.yaml.j2",
        key=b64encode(bootstrap_private_key.encode()).decode(),
        port=ports.SSH_BOOTSTRAP.number,
        door=paths.SSH_BOOTSTRAP,
    )


def identity() -> str:
    """Install the host key that comes on stdin."""
    return render("steps/identity.sh.j2", library_text=read(LIBRARY))


def script(*, size: str, overlay: bool, ssh_ca_public_key: str | None) -> str:
    """Wait for cloud-init, install what steps need, let people log in by certificate, and close the bootstrap port.

    `overlay` says whether the host is on the pod network: such a host needs more programs, and kernel modules.
    """
    sshd = [
        "# People come by certificates of the SSH CA, the program by its deploy key, nobody by a password.",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin prohibit-password",
        "HostKey /etc/ssh/ssh_host_ecdsa_key",
        # The default of 10 unauthenticated connections at a time drops some of the many steps that start together.
        "MaxStartups 100:30:200",
        "MaxSessions 100",
    ]
    programs = PROGRAMS | OVERLAY_PROGRAMS if overlay else PROGRAMS
    files: list[HostFile] = []
    if ssh_ca_public_key is not None:
        sshd.append(f"TrustedUserCAKeys {paths.SSH_USER_CA}")
        files.append(HostFile(path=paths.SSH_USER_CA, content=f"{ssh_ca_public_key.strip()}\n", mode="644"))
    files.append(HostFile(path=paths.SSHD_DROP_IN, content="\n".join(sshd) + "\n"))
    return step(
        "host",
        files=files,
        size=size,
        mark=f"{END_OF_FILE}_LIBRARY",
        library_text=read(LIBRARY),
        library_directory=PurePosixPath(paths.STEP_LIBRARY).parent,
        boot_seconds=BOOT_SECONDS,
        apt_seconds=APT_SECONDS,
        door=paths.SSH_BOOTSTRAP,
        overlay=overlay,
        needed=" ".join(f"{program}:{package}" for program, package in programs.items()),
        modules=as_script(MODULES),
        host_environment=paths.HOST_ENVIRONMENT,
    )
