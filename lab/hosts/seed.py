"""Files on a host's disk before its first boot, as the provider's agent and image put them there."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import yaml

from lab.hosts import containers, kernel, modules
from lab.hosts.containers import Shortfalls
from lab.interfaces import Machine

# cloud-init's configuration, as in the provider's image: root is the user, cloud-init manages /etc/hosts, and the
# network is already configured. There is no RSA key: it takes longer to make than the rest of the boot.
_CLOUD_CONFIG = {
    "datasource_list": ["NoCloud"],
    "network": {"config": "disabled"},
    "disable_root": False,
    "manage_etc_hosts": True,
    "prefer_fqdn_over_hostname": True,
    "ssh_genkeytypes": ["ed25519", "ecdsa"],
    "system_info": {"default_user": {"name": "root", "lock_passwd": False}},
    # Without the modules for partitions, boot loaders and Debian's own mirrors: a host has none of these.
    "cloud_init_modules": [
        *("seed_random", "bootcmd", "write-files", "set_hostname", "update_hostname", "update_etc_hosts"),
        *("ca-certs", "users-groups", "ssh"),
    ],
    "cloud_config_modules": ["locale", "set-passwords", "timezone", "runcmd"],
    "cloud_final_modules": [
        *("package-update-upgrade-install", "write-files-deferred", "scripts-vendor", "scripts-per-once"),
        *("scripts-per-boot", "scripts-per-instance", "scripts-user", "phone-home", "final-message"),
        "power-state-change",
    ],
}

_MASKED = (
    # A host has no terminal, and no disk, firmware or kernel of its own:
    *("console-getty.service", "getty.target", "getty@tty1.service", "getty-static.service"),
    *("e2scrub_reap.service", "e2scrub_all.timer", "fstrim.timer", "systemd-pstore.service"),
    *("systemd-hwdb-update.service", "systemd-initctl.socket", "systemd-firstboot.service"),
    *("dev-hugepages.mount", "sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount"),
    *("sys-fs-fuse-connections.mount", "systemd-journald-audit.socket", "systemd-udevd.service"),
    *("systemd-udev-trigger.service", "cloud-init-hotplugd.socket"),
    # Timers would disturb measurements:
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer"),
)


@dataclass(frozen=True, slots=True)
class File:
    """One file to write: its text and its mode."""

    text: str
    mode: int = 0o644


def files(
    machine: Machine,
    *,
    gateway: IPv4Address,
    resolver: IPv4Address,
    stub: bool,
    mtu: int,
    package_source: str,
    shortfalls: Shortfalls,
) -> Mapping[str, File]:
    """Return every file that differs from the image, by its path without the leading slash.

    With `stub`, programs ask the image's own resolver, which asks the one of this cloud.
    """
    meta_data = {
        "instance-id": str(machine.id),
        "local-hostname": machine.name,
        "public-keys": list(machine.public_keys),
        "region": machine.region,
    }
    return {
        "etc/hostname": File(f"{machine.name}\n"),
        "etc/machine-id": File(f"{uuid.uuid4().hex}\n", 0o444),
        **_resolver(resolver, stub=stub),
        "etc/default/locale": File("LANG=C.UTF-8\n"),
        "etc/network/interfaces.d/50-cloud-init": File(_interfaces(machine, gateway, mtu)),
        "etc/cloud/cloud.cfg.d/90-lab.cfg": File(yaml.safe_dump(_CLOUD_CONFIG, sort_keys=False)),
        "etc/cloud/ds-identify.cfg": File("policy: enabled\n"),
        "etc/systemd/journald.conf.d/lab.conf": File("[Journal]\nReadKMsg=no\nForwardToConsole=no\n"),
        f"etc/systemd/system/{kernel.SERVICE}": File(kernel.UNIT),
        kernel.SCRIPT_PATH.removeprefix("/"): File(kernel.SCRIPT),
        modules.LOADER_PATH.removeprefix("/"): File(modules.LOADER),
        "etc/apt/sources.list": File("# The mirror of this cloud is in sources.list.d.\n"),
        "etc/apt/sources.list.d/lab.list": File(package_source),
        **{name: File(text, 0o600) for name, text in containers.drop_ins(shortfalls).items()},
        # JSON is YAML too, and its quoting is safe for every name and key.
        "var/lib/cloud/seed/nocloud/meta-data": File(json.dumps(meta_data, indent=1) + "\n", 0o600),
        "var/lib/cloud/seed/nocloud/user-data": File(machine.user_data or "#cloud-config\n{}\n", 0o600),
    }


def _resolver(address: IPv4Address, *, stub: bool) -> dict[str, File]:
    if stub:
        return {"etc/systemd/resolved.conf.d/lab.conf": File(f"[Resolve]\nDNS={address}\n")}
    return {"etc/resolv.conf": File(f"nameserver {address}\n")}


def _interfaces(machine: Machine, gateway: IPv4Address, mtu: int) -> str:
    lines = [
        "# The provider's addresses of this droplet: fixed for its life.",
        "auto lo",
        "iface lo inet loopback",
        "",
        "auto eth0",
        "iface eth0 inet static",
        f"    address {machine.public.with_prefixlen}",
        f"    gateway {gateway}",
        f"    mtu {mtu}",
    ]
    if machine.private is not None:
        lines += [
            "",
            "auto eth1",
            "iface eth1 inet static",
            f"    address {machine.private.with_prefixlen}",
            f"    mtu {mtu}",
        ]
    return "\n".join(lines) + "\n"


def lay(upper: Path, image: Path, contents: Mapping[str, File]) -> None:
    """Write the files into a host's own layer; folders get the mode that they have in the image."""
    upper.mkdir(parents=True)
    upper.chmod(0o755)
    for name, file in contents.items():
        _folder(upper, image, Path(name).parent)
        target = upper / name
        target.write_text(file.text)
        target.chmod(file.mode)
    units = Path("etc/systemd/system")
    _folder(upper, image, units)
    for unit in _MASKED:
        (upper / units / unit).symlink_to("/dev/null")
    _folder(upper, image, units / "sysinit.target.wants")
    (upper / units / "sysinit.target.wants" / kernel.SERVICE).symlink_to(f"../{kernel.SERVICE}")


def _folder(upper: Path, image: Path, name: Path) -> None:
    for part in [*reversed(name.parents), name]:
        folder = upper / part
        if not folder.is_dir():
            folder.mkdir()
            if (image / part).is_dir():
                shutil.copymode(image / part, folder)
            else:
                folder.chmod(0o755)
