"""Each image boots and does what Triplane's first steps need: a smoke test per image, all else is tested on one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

import pytest

from lab.hosts import image
from lab.machines import Firewall, Machine, Rule
from tests.labs import Bench, hosts_lab
from tests.waiting import wait_for

pytestmark = pytest.mark.hosts

EVERYONE = (IPv4Network("0.0.0.0/0"),)
SSH = Rule(protocol="tcp", ports=(22, 22), peers=EVERYONE)
SYSTEMD = {"debian-12-x64": 252, "debian-13-x64": 257}


@dataclass(frozen=True)
class Booted:
    bench: Bench
    host: Machine


@pytest.fixture(scope="module", params=sorted(image.RELEASES))
def booted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    with hosts_lab(tmp_path_factory.mktemp("images"), "timages", "198.19.25.0/24") as bench:
        host = bench.machine("one.lab.triplane.test", image=request.param)
        bench.machines.create(host)
        bench.wait_for_boot(host)
        yield Booted(bench, host)


def test_an_image_boots_to_its_end_and_is_what_its_slug_says(booted: Booted) -> None:
    bench, host = booted.bench, booted.host
    assert bench.answer(host, ". /etc/os-release; echo $VERSION_CODENAME") == image.RELEASES[host.image]
    assert bench.answer(host, "cat /root/ran") == "user data ran"
    assert bench.answer(host, "hostname --fqdn") == host.name
    wait_for("the boot to end", lambda: "running" in bench.ssh(host, "systemctl is-system-running --wait").stdout)
    assert bench.answer(host, "systemctl --failed --plain --no-legend") == ""
    version = int(bench.answer(host, "systemctl --version").split()[1])
    assert version == SYSTEMD[host.image]


def test_a_firewall_holds_whatever_the_image(booted: Booted) -> None:
    bench, host = booted.bench, booted.host
    bench.machines.set_firewalls({host.id: Firewall(inbound=(), outbound=())})
    assert bench.ssh(host, "true").returncode == 255
    bench.machines.set_firewalls({host.id: Firewall(inbound=(SSH,), outbound=())})
    assert bench.ssh(host, "true").returncode == 0


def test_a_reboot_brings_an_image_back(booted: Booted) -> None:
    bench, host = booted.bench, booted.host
    before = bench.answer(host, "cat /proc/sys/kernel/random/boot_id")
    bench.machines.reboot(host.id)
    bench.wait_for_boot(host)
    assert bench.answer(host, "cat /proc/sys/kernel/random/boot_id") != before
