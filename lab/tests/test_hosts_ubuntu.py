"""The image that plays Ubuntu 24.04: what is known of its droplets is there, and Triplane's first steps pass on it."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from lab.config import PACKAGES_PORT
from lab.daemon import WebServer
from lab.hosts import metadata, name_server, network, packages
from lab.hosts.cgroups import Group
from lab.interfaces import Machine
from lab.tests.labs import Bench, hosts_lab
from model import paths, ports
from model.assets import read
from model.steps import first_steps as steps
from tests.waiting import wait_for

pytestmark = pytest.mark.hosts

IMAGE = "ubuntu-24-04-x64"
SERVERS = "sed -n 's/^nameserver //p'"
DOOR = ports.SSH_BOOTSTRAP.number


class Zone:
    """One name."""

    def version(self) -> None:
        return None

    def zones(self) -> tuple[str, ...]:
        return ("lab.triplane.test",)

    def addresses(self, name: str) -> tuple[IPv4Address, ...] | None:
        return (IPv4Address("198.19.0.9"),) if name == "api.lab.triplane.test" else None


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with hosts_lab(tmp_path_factory.mktemp("ubuntu"), "tubuntu", "198.19.26.0/24") as bench:
        config = bench.config
        archive = socket.create_server((str(config.services), PACKAGES_PORT))
        inner = network.listener(config.router_namespace, network.METADATA, 80)
        with (
            name_server.NameServer(name_server.Resolver(Zone(), tuple, lambda: 0), config.services, 53),
            WebServer(packages.app(config.rootfs_dir), archive, "package archive"),
            WebServer(metadata.app(config, bench.machines.known), inner, "metadata"),
        ):
            yield bench


@pytest.fixture(scope="module")
def fresh(bench: Bench) -> Machine:
    """A host that has ended its boot, and that nobody has connected to."""
    host = bench.machine("fresh.lab.triplane.test", image=IMAGE)
    bench.machines.create(host)
    wait_for("the boot to end", lambda: unseen(bench, host, "systemctl is-system-running --wait") == "running", 60)
    return host


def unseen(bench: Bench, host: Machine, command: str) -> str:
    """Run a command on a host without a connection, which would start what listens."""
    init = Group(bench.config.name, str(host.id)).init()
    within = ("nsenter", f"--target={init}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup")
    return subprocess.run([*within, "sh", "-c", command], capture_output=True, text=True, check=False).stdout.strip()


def test_the_first_connection_starts_sshd(bench: Bench, fresh: Machine) -> None:
    units = "systemctl is-active ssh.socket ssh.service; systemctl is-enabled ssh.socket ssh.service"
    assert unseen(bench, fresh, units).split() == ["active", "inactive", "enabled", "disabled"]
    bench.wait_for_ssh(fresh)
    assert bench.ssh(fresh, units).stdout.split() == ["active", "active", "enabled", "disabled"]


def test_a_port_of_sshd_is_the_sockets_after_a_reload_of_systemd(bench: Bench, fresh: Machine) -> None:
    listens = "ss --no-header --listening --numeric 'sport = :2200'"
    bench.answer(fresh, "printf 'Port 22\\nPort 2200\\n' >/etc/ssh/sshd_config.d/port.conf && systemctl restart ssh")
    assert bench.answer(fresh, listens) == ""
    bench.answer(fresh, "systemctl daemon-reload && systemctl restart ssh.socket")
    assert bench.ssh(fresh, "true", port=2200).returncode == 0
    assert bench.answer(fresh, listens) != ""
    bench.answer(fresh, "rm /etc/ssh/sshd_config.d/port.conf; systemctl daemon-reload; systemctl restart ssh.socket")
    assert bench.answer(fresh, listens) == ""


def test_cloud_init_is_done_with_a_warning(bench: Bench, fresh: Machine) -> None:
    ended = bench.ssh(fresh, "cloud-init status --wait --long")
    assert ended.returncode == 2
    assert "degraded done" in ended.stdout
    assert "DEPRECATED" in ended.stdout


def test_a_stub_resolver_forwards_to_the_clouds_resolver(bench: Bench, fresh: Machine) -> None:
    assert bench.answer(fresh, "readlink /etc/resolv.conf") == "../run/systemd/resolve/stub-resolv.conf"
    assert bench.answer(fresh, f"{SERVERS} /etc/resolv.conf") == "127.0.0.53"
    assert bench.answer(fresh, f"{SERVERS} /run/systemd/resolve/resolv.conf") == str(bench.config.services)
    assert bench.answer(fresh, "getent ahostsv4 api.lab.triplane.test").startswith("198.19.0.9")
    assert bench.ssh(fresh, "getent ahostsv4 nobody.lab.triplane.test").returncode == 2


def test_pods_get_the_resolver_behind_the_stub(bench: Bench, fresh: Machine) -> None:
    choice = re.search(r"^servers=.*?^ln [^\n]*", read("steps/kubelet.sh.j2"), re.MULTILINE | re.DOTALL)
    assert choice
    bench.answer(fresh, choice[0].replace("{{ resolv_conf }}", "/root/pods.conf"))
    assert bench.answer(fresh, f"{SERVERS} /root/pods.conf") == str(bench.config.services)


def test_iptables_is_there(bench: Bench, fresh: Machine) -> None:
    assert bench.answer(fresh, "iptables --version").startswith("iptables v1.8.")


def key_pair(folder: Path, name: str) -> tuple[str, str]:
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", path], check=True)
    return path.read_text(), path.with_suffix(".pub").read_text()


def test_the_first_steps_pass(bench: Bench, tmp_path: Path) -> None:
    door_key, door_public = key_pair(tmp_path, "door")
    host_key, host_public = key_pair(tmp_path, "host")
    host = bench.machine("steps.lab.triplane.test", image=IMAGE, user_data=steps.user_data(door_key))
    known = tmp_path / "known_hosts"
    known.write_text(f"[{host.public.ip}]:{DOOR} {door_public}{host.public.ip} {host_public}")
    bench.machines.create(host)

    def run(script: str, *, port: int = 22, stdin: str = "") -> str:
        done = bench.ssh(host, script, known_hosts=known, port=port, stdin=stdin)
        assert done.returncode == 0, f"{done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    wait_for("the door", lambda: bench.ssh(host, "true", known_hosts=known, port=DOOR).returncode == 0, 60)
    run(steps.identity(), port=DOOR, stdin=host_key)
    script = steps.script(size="s-1vcpu-1gb", overlay=True, ssh_ca_public_key=None)
    said = run(script)
    assert "cloud-init is done, with warnings" in said
    assert "installed nftables" in said
    assert bench.ssh(host, "true", known_hosts=known, port=DOOR).returncode == 255
    assert f"DROPLET_ID={host.id}" in run(f"cat {paths.HOST_ENVIRONMENT}")
    # The same again changes nothing, also where this connection is the first one after a boot.
    assert "changed" not in run(script)
    bench.machines.reboot(host.id)
    wait_for("the host to be back", lambda: bench.ssh(host, "true", known_hosts=known).returncode == 0, 60)
    assert "changed" not in run(script)
