"""A new host's first minutes: its user data, its identity, and what every later step stands on."""

from __future__ import annotations

from base64 import b64encode

from model import paths, ports
from model.assets import read, render
from model.files import END_OF_FILE, HostFile
from model.steps import step


def user_data(bootstrap_private_key: str) -> str:
    """Cloud-config that opens the door for the first connection; nothing else, for a change of it rebuilds the host."""
    return render(
        "user-data.yaml.j2", key=b64encode(bootstrap_private_key.encode()).decode(), port=ports.SSH_BOOTSTRAP.number
    )


def identity() -> str:
    """Take the host key that comes on stdin."""
    return render("steps/identity.sh.j2")


def script(*, size: str, ssh_ca_public_key: str | None) -> str:
    """Wait for cloud-init, bring the step library, let people in by their certificates, and shut the first door."""
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
        library_text=read("steps/step.sh"),
        host_environment=paths.HOST_ENVIRONMENT,
    )
