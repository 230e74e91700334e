"""Images of other distributions: a Debian image, changed to behave like theirs.

A variant imitates what public reports say of them, with Debian's own programs. docs/lab-hosts.md lists what it
imitates and what it does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.hosts import commands


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """Changes that make an image from another one."""

    base: str
    packages: tuple[str, ...] = ()
    """Packages of the base's distribution."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Texts by path without the leading slash; a text that begins with `#!` becomes an executable program."""
    setup: str = ""
    """A script that runs in the image, last."""

    def dress(self, root: Path) -> None:
        """Write the files into a copy of the base that has the packages, and run the script there.

        Errors: `MachineError` where the script fails.
        """
        for name, text in self.files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755 if text.startswith("#!") else 0o644)
        commands.run("changing the host image", "chroot", str(root), "/bin/sh", "-euc", self.setup)


_UBUNTU_RELEASE = """\
PRETTY_NAME="Ubuntu 24.04.3 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION="24.04.3 LTS (Noble Numbat)"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=noble
"""

# As in openssh-server 1:9.6p1-3ubuntu13: a start of the service starts the socket too; both address families are named.
_UBUNTU_SSH_SOCKET = """\
[Unit]
Description=OpenBSD Secure Shell server socket
Before=sockets.target ssh.service
ConditionPathExists=!/etc/ssh/sshd_not_to_be_run

[Socket]
ListenStream=0.0.0.0:22
ListenStream=[::]:22
BindIPv6Only=ipv6-only
Accept=no
FreeBind=yes

[Install]
WantedBy=sockets.target
RequiredBy=ssh.service
"""

_UBUNTU_SSH_GENERATOR = """\
#!/bin/sh
# Stands in for Ubuntu's program of this name: at each daemon-reload, sshd's ports become those of its socket.
set -eu
ports=$(cat /etc/ssh/sshd_config.d/*.conf /etc/ssh/sshd_config 2>/dev/null | awk 'tolower($1) == "port" { print $2 }')
[ "${ports:-22}" != 22 ] || exit 0
mkdir -p "$1/ssh.socket.d"
{
    printf '[Socket]\\nListenStream=\\n'
    for port in $ports; do printf 'ListenStream=0.0.0.0:%s\\nListenStream=[::]:%s\\n' "$port" "$port"; done
} >"$1/ssh.socket.d/addresses.conf"
"""

# It is not public which warning a droplet has (marketplace-partners 186); this one is of the same kind.
_UBUNTU_VENDOR = """\
# The deprecated word makes `cloud-init status` end with 2.
manage_etc_hosts: template
system_info:
  distro: ubuntu
"""

VARIANTS = {
    "ubuntu-24-04-x64": Variant(
        base="debian-13-x64",
        packages=("iptables", "systemd-resolved"),
        files={
            "usr/lib/os-release": _UBUNTU_RELEASE,
            "usr/lib/systemd/system/ssh.socket": _UBUNTU_SSH_SOCKET,
            "usr/lib/systemd/system-generators/sshd-socket-generator": _UBUNTU_SSH_GENERATOR,
            "etc/cloud/cloud.cfg.d/95-vendor.cfg": _UBUNTU_VENDOR,
        },
        setup="""\
systemctl --quiet disable ssh.service
systemctl --quiet enable ssh.socket
ln -sfn ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
""",
    )
}
"""Variants by the slug of the image that each imitates."""
