"""Each image boots and does what Triplane's first steps need: a smoke test per image, all else is tested on one."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml

from lab.config import PACKAGES_PORT
from lab.daemon import WebServer
from lab.hosts import packages, rootfs
from lab.hosts.variants import VARIANTS
from lab.interfaces import Firewall, Machine, Rule
from lab.tests.differences import rows, untold
from lab.tests.labs import Bench, hosts_lab
from tests.waiting import wait_for

pytestmark = pytest.mark.hosts

EVERYONE = (IPv4Network("0.0.0.0/0"),)
SSH = Rule(protocol="tcp", ports=(22, 22), peers=EVERYONE)
WEB = Rule(protocol="tcp", ports=(80, 80), peers=EVERYONE)
RELEASES = {
    "debian-12-x64": ("debian 12 bookworm", 252),
    "debian-13-x64": ("debian 13 trixie", 257),
    "ubuntu-24-04-x64": ("ubuntu 24.04 noble", 257),
}
"""What each says that it is, and the version of its systemd."""


@dataclass(frozen=True)
class Booted:
    bench: Bench
    host: Machine


@pytest.fixture(scope="module", params=sorted(rootfs.IMAGES))
def booted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    with hosts_lab(tmp_path_factory.mktemp("images"), "timages", "198.19.25.0/24") as bench:
        host = bench.machine("one.lab.triplane.test", image=request.param)
        bench.machines.create(host)
        bench.wait_for_boot(host)
        yield Booted(bench, host)


@contextmanager
def archive(bench: Bench) -> Iterator[None]:
    listening = socket.create_server((str(bench.config.services), PACKAGES_PORT))
    with WebServer(packages.app(bench.config.rootfs_dir), listening, "package archive"):
        yield


def test_an_image_boots_to_its_end_and_is_what_its_slug_says(booted: Booted) -> None:
    bench, host = booted.bench, booted.host
    release, systemd = RELEASES[host.image]
    assert bench.answer(host, ". /etc/os-release; echo $ID $VERSION_ID $VERSION_CODENAME") == release
    assert bench.answer(host, "cat /root/ran") == "user data ran"
    assert bench.answer(host, "hostname --fqdn") == host.name
    wait_for("the boot to end", lambda: "running" in bench.ssh(host, "systemctl is-system-running --wait").stdout)
    assert bench.answer(host, "systemctl --failed --plain --no-legend") == ""
    assert int(bench.answer(host, "systemctl --version").split()[1]) == systemd


def test_a_firewall_holds_whatever_the_image(booted: Booted) -> None:
    bench, host = booted.bench, booted.host
    bench.machines.set_firewalls({host.id: Firewall(inbound=(), outbound=())})
    assert bench.ssh(host, "true").returncode == 255
    bench.machines.set_firewalls({host.id: Firewall(inbound=(SSH,), outbound=())})
    assert bench.ssh(host, "true").returncode == 0


def test_a_host_has_what_a_droplet_has_and_what_the_table_tells(booted: Booted) -> None:
    bench, host = booted.bench, booted.host
    known = yaml.safe_load(Path(__file__).with_name("debian-cloud-image.yaml").read_text())
    droplets = {name for names in known["classes"].values() for name in names} | set(known["brought"])
    base = "dpkg-query -Wf '${Package} ${Essential} ${Priority}\\n' | awk '$2 == \"yes\" || $3 == \"required\"'"
    minbase = {line.split()[0] for line in bench.answer(host, base).splitlines()} | {"apt"}
    needs = bench.answer(host, "dpkg-query -Wf '${Depends},${Pre-Depends}\\n'")
    brought = {name.split()[0].partition(":")[0] for name in re.split(r"[,|\n]", needs) if name.strip()}
    chosen = set(bench.answer(host, "apt-mark showmanual").split())
    assert chosen - brought - minbase - droplets == set(rows("package"))

    mounts = set(bench.answer(host, "awk '{ print $2 }' /proc/mounts").split())
    ordinary = ("/dev", "/proc", "/sys", "/run", "/tmp", "/run/lock", "/run/credentials/*", "/run/user/*")
    special = {mount for mount in mounts if not any(fnmatchcase(mount, pattern) for pattern in ordinary)}
    assert untold("mount", special) == set()
    assert [row for row in rows("mount") if not any(fnmatchcase(mount, row) for mount in mounts)] == []

    traces = {"br_netfilter": "/proc/sys/net/bridge", "nf_conntrack": "/proc/sys/net/netfilter"}
    seen = {module for module, trace in traces.items() if bench.ssh(host, f"test -e {trace}").returncode == 0}
    assert seen == set(rows("module"))
    people = bench.answer(host, "awk -F: '$3 >= 1000 { print $1 }' /etc/passwd")
    assert people == "nobody"


def test_what_an_image_lacks_comes_from_the_package_archive(booted: Booted) -> None:
    bench, host = booted.bench, booted.host
    lacking = "nft" if host.image in VARIANTS else "iptables nft"
    assert bench.ssh(host, f"command -v {lacking}").returncode == 1
    install = "DEBIAN_FRONTEND=noninteractive apt-get --quiet install --yes --no-install-recommends iptables nftables"
    bench.machines.set_firewalls({host.id: Firewall(inbound=(SSH,), outbound=())})
    unreached = bench.ssh(host, "timeout 5 apt-get update -o Acquire::Retries=0 --error-on=any")
    assert unreached.returncode != 0
    bench.machines.set_firewalls({host.id: Firewall(inbound=(SSH,), outbound=(WEB,))})
    with archive(bench):
        bench.answer(host, f"apt-get --quiet update --error-on=any && {install}")
    assert bench.answer(host, "iptables --version").startswith("iptables v1.8.")
    assert bench.answer(host, "nft list tables; ip6tables --version").startswith("ip6tables v1.8.")


BRIDGES = "/proc/sys/net/bridge/bridge-nf-call-iptables"  # what flanneld exits without (flannel, main.go)


def test_a_module_is_out_of_sight_until_the_host_asks_for_it(booted: Booted) -> None:
    bench, host = booted.bench, booted.host
    hidden = f"test ! -e /proc/sys/net/bridge && ! grep -qw overlay /proc/filesystems && test ! -e {BRIDGES}"
    shown = f"test -e {BRIDGES} && grep -qw overlay /proc/filesystems"
    bench.answer(host, hidden)
    bench.answer(host, "test -e /proc/sys/net/ipv4/ip_forward && sysctl -qw net.ipv4.ip_forward=1")
    assert bench.ssh(host, "modprobe no_such_module").returncode == 1
    # A service that was there before has a view of its own, which must follow.
    sandbox = "--property=ProtectKernelTunables=yes --property=PrivateTmp=yes"
    bench.answer(host, f"systemd-run --quiet --unit=early --service-type=exec {sandbox} sleep infinity")
    bench.answer(host, "modprobe br_netfilter")
    bench.answer(host, f"test -e {BRIDGES} && ! grep -qw overlay /proc/filesystems")
    bench.answer(host, "modprobe br_netfilter && modprobe --all overlay br_netfilter")
    bench.answer(host, shown)
    inside = "nsenter --target $(systemctl show --value -p MainPID early) --mount"
    bench.answer(host, f"{inside} sh -c '{shown}'")
    # What is loaded now is not at the next boot, unless it is asked for again.
    bench.machines.reboot(host.id)
    bench.wait_for_boot(host)
    bench.answer(host, hidden)
    bench.answer(
        host,
        "printf 'br_netfilter\\noverlay\\n' >/etc/modules-load.d/test.conf;"
        "echo net.bridge.bridge-nf-call-iptables=1 >/etc/sysctl.d/90-test.conf; sync",
    )
    bench.machines.reboot(host.id)
    bench.wait_for_boot(host)
    bench.answer(host, f"{shown} && systemctl is-active systemd-modules-load systemd-sysctl")
