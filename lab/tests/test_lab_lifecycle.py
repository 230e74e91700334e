"""The lab as a whole: started, killed, adopted, cleared and stopped through its command, as an operator would."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from lab import instances
from lab.config import LabConfig
from lab.hosts import operator
from lab.hosts.cgroups import Group
from lab.tests.labs import ssh, traces
from tests.waiting import wait_for

pytestmark = pytest.mark.hosts

CHECKOUT = Path(__file__).parents[2]


@dataclass
class Cli:
    """`python -m lab` for one lab."""

    config: LabConfig

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        config = self.config
        chosen = ["--directory", str(config.directory), "--name", config.name, "--block", str(config.block)]
        return subprocess.run(
            [sys.executable, "-m", "lab", *chosen, *words],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def start(self) -> str:
        done = self("start")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self("status", "--json").stdout)
        return status

    def powers(self) -> dict[str, str]:
        return {host["name"]: host["power"] for host in self.status()["hosts"]}

    def kill_daemon(self) -> None:
        record = instances.daemon(self.config.name)
        assert record is not None
        os.kill(record.pid, signal.SIGKILL)
        wait_for("the daemon's end", lambda: instances.daemon(self.config.name) is None)

    def api(self) -> httpx.Client:
        tokens = yaml.safe_load((self.config.directory / "tokens.yaml").read_text())
        return httpx.Client(
            base_url=self.config.api_url, headers={"Authorization": f"Bearer {tokens['digitalocean']}"}, timeout=30
        )

    def dns_api(self) -> httpx.Client:
        tokens = yaml.safe_load((self.config.directory / "tokens.yaml").read_text())
        base = f"{self.config.api_url}/client/v4/zones/7a1e5b1c0d9e4f3aa2b6c8d4e0f11223"
        return httpx.Client(base_url=base, headers={"Authorization": f"Bearer {tokens['cloudflare']}"}, timeout=30)


@contextmanager
def lab_of(directory: Path, name: str, block: str) -> Iterator[Cli]:
    config = LabConfig(directory=directory / "lab", name=name, block=IPv4Network(block))
    cli = Cli(config)
    cli("stop", "--purge")  # of a run that was killed
    try:
        yield cli
    finally:
        done = cli("stop", "--purge")
        assert done.returncode == 0, done.stderr
        assert traces(config) == []
        assert not config.directory.exists()


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    with lab_of(tmp_path, "tlife", "198.19.20.0/24") as cli:
        yield cli


@pytest.fixture
def key(tmp_path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    return tmp_path / "key"


def make_droplet(cli: Cli, name: str, key: Path) -> IPv4Address:
    with cli.api() as api:
        public_key = key.with_suffix(".pub").read_text().strip()
        answer = api.post("/v2/account/keys", json={"name": name, "public_key": public_key})
        found = (
            api.get("/v2/account/keys").json()["ssh_keys"] if answer.status_code == 422 else [answer.json()["ssh_key"]]
        )
        body = {"name": name, "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-12-x64"}
        made = api.post("/v2/droplets", json={**body, "ssh_keys": [found[0]["id"]]})
        assert made.status_code == 202, made.text
        droplet = made.json()["droplet"]["id"]

        def shown() -> dict[str, Any]:
            one: dict[str, Any] = api.get(f"/v2/droplets/{droplet}").json()["droplet"]
            return one

        wait_for("the droplet", lambda: shown()["status"] == "active")
        networks = shown()["networks"]["v4"]
    address = IPv4Address(next(network["ip_address"] for network in networks if network["type"] == "public"))
    wait_for("ssh", lambda: ssh(address, key, "true").returncode == 0)
    return address


def boot_id(address: IPv4Address, key: Path) -> str:
    return ssh(address, key, "cat /proc/sys/kernel/random/boot_id").stdout.strip()


def test_names_resolve_in_a_second_and_metadata_is_per_host(cli: Cli, key: Path) -> None:
    mine = Path("/etc/resolv.conf").read_bytes()
    cli.start()
    address = make_droplet(cli, "etcd-0.lab.triplane.test", key)
    name = "fresh.lab.triplane.test"
    look_up = ["getent", "ahostsv4", name]
    assert ssh(address, key, " ".join(look_up)).returncode == 2
    with cli.dns_api() as api:
        made = api.post("/dns_records", json={"type": "A", "name": name, "content": str(address), "ttl": 60})
        assert made.status_code == 200, made.text
        created = time.monotonic()
        seen = subprocess.run(operator.command(cli.config, look_up), capture_output=True, text=True, check=True)
        assert time.monotonic() - created < 1
        assert seen.stdout.startswith(f"{address} ")
        assert ssh(address, key, " ".join(look_up)).stdout.startswith(f"{address} ")
    # The operator's command keeps its input, its exit code and its signals; the machine keeps its resolver.
    echoed = subprocess.run(
        operator.command(cli.config, ["sh", "-c", "cat; exit 7"]),
        input="said",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (echoed.stdout, echoed.returncode) == ("said", 7)
    killed = subprocess.run(operator.command(cli.config, ["sh", "-c", "kill -TERM $$"]), check=False)
    assert killed.returncode == -signal.SIGTERM
    assert Path("/etc/resolv.conf").read_bytes() == mine
    told = "curl -fsS http://169.254.169.254/metadata/v1"
    assert ssh(address, key, f"{told}/hostname").stdout == "etcd-0.lab.triplane.test"
    assert ssh(address, key, f"{told}/interfaces/public/0/ipv4/address").stdout == str(address)
    document = json.loads(ssh(address, key, f"{told}.json").stdout)
    assert document["interfaces"]["public"][0]["ipv4"]["ip_address"] == str(address)
    # A host's own firewall rules do not stand between it and its metadata.
    with cli.api() as api:
        rules = {"inbound_rules": [{"protocol": "tcp", "ports": "22", "sources": {"addresses": ["0.0.0.0/0"]}}]}
        ids = [droplet["id"] for droplet in api.get("/v2/droplets").json()["droplets"]]
        answer = api.post("/v2/firewalls", json={"name": "shut", "droplet_ids": ids, **rules})
        assert answer.status_code == 202, answer.text
        firewall = f"/v2/firewalls/{answer.json()['firewall']['id']}"
        wait_for(
            "the firewall is in force", lambda: api.get(firewall).json()["firewall"]["status"] == "succeeded", every=0.2
        )
    assert ssh(address, key, f"{told}/hostname").stdout == "etcd-0.lab.triplane.test"
    assert ssh(address, key, f"curl -sS -m 2 {cli.config.mirror_url}/catalog.yaml").returncode == 28


def test_starting_twice_is_one_lab_and_so_are_two_starts_at_once(cli: Cli) -> None:
    with ThreadPoolExecutor() as workers:
        said = [done.result() for done in [workers.submit(cli.start) for _ in range(2)]]
    assert sum("is up" in text for text in said) == 1
    assert sum("running already" in text for text in said) == 1
    first = cli.status()["pid"]
    assert "running already" in cli.start()
    assert cli.status()["pid"] == first
    assert cli.status()["services"] == {"api": True, "mirror": True, "dns": True}


def test_hosts_outlive_a_killed_daemon_and_the_next_adopts_them(cli: Cli, key: Path) -> None:
    cli.start()
    address = make_droplet(cli, "stays.lab.triplane.test", key)
    before = boot_id(address, key)
    cli.kill_daemon()
    assert boot_id(address, key) == before
    cli.start()
    assert boot_id(address, key) == before
    with cli.api() as api:
        droplets = api.get("/v2/droplets").json()["droplets"]
        assert [droplet["status"] for droplet in droplets] == ["active"]
        # Adopted, not just left alone: it can still be told to go.
        assert api.delete(f"/v2/droplets/{droplets[0]['id']}").status_code == 204
    wait_for("the host's end", lambda: not cli.status()["hosts"])


def test_after_a_full_kill_the_next_start_boots_the_right_hosts(cli: Cli, key: Path) -> None:
    cli.start()
    address = make_droplet(cli, "dies.lab.triplane.test", key)
    assert ssh(address, key, "echo kept >/root/kept && sync").returncode == 0
    before = boot_id(address, key)
    cli.kill_daemon()
    for pid in Group(cli.config.name).pids():
        with_signal(pid)
    wait_for("the hosts' end", lambda: not Group(cli.config.name).alive())
    assert traces(cli.config), "namespaces should be left over, or this test shows nothing"
    assert cli.powers() == {"dies.lab.triplane.test": "off"}
    # A namespace whose state is gone, as after a crash of the machine: a name that stands for nothing.
    Path(f"/run/netns/triplane-{cli.config.name}-4242").touch()
    said = cli.start()
    assert "booting dies.lab.triplane.test again" in said
    wait_for("ssh", lambda: ssh(address, key, "true").returncode == 0)
    assert ssh(address, key, "cat /root/kept").stdout == "kept\n"
    assert boot_id(address, key) != before
    assert not Path(f"/run/netns/triplane-{cli.config.name}-4242").exists()


def test_a_lost_router_is_rebuilt_with_its_hosts(cli: Cli, key: Path) -> None:
    cli.start()
    address = make_droplet(cli, "cut.lab.triplane.test", key)
    cli.kill_daemon()
    subprocess.run(["ip", "netns", "delete", cli.config.router_namespace], check=True)
    cli.start()
    wait_for("ssh", lambda: ssh(address, key, "true").returncode == 0)


def with_signal(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # its parent's death was its own


def test_stop_keeps_the_disks_and_start_brings_the_hosts_back(cli: Cli, key: Path) -> None:
    cli.start()
    address = make_droplet(cli, "back.lab.triplane.test", key)
    assert ssh(address, key, "echo kept >/root/kept").returncode == 0
    assert cli("stop").returncode == 0
    assert traces(cli.config) == []
    assert cli("status").returncode == 1
    cli.start()
    wait_for("ssh", lambda: ssh(address, key, "cat /root/kept").stdout == "kept\n")


def test_what_the_lab_did_not_make_it_does_not_touch(cli: Cli) -> None:
    namespaces = ["tforeign", "triplane-tother-router", "triplane-tother-7"]
    for name in namespaces:
        subprocess.run(["ip", "netns", "add", name], check=True)
    subprocess.run(["ip", "link", "add", "tforeign0", "type", "bridge"], check=True)
    try:
        cli.start()
        cli.kill_daemon()
        assert cli("clear").returncode == 0
        assert cli("stop", "--purge").returncode == 0
        left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
        assert all(name in left for name in namespaces)
        assert subprocess.run(["ip", "link", "show", "tforeign0"], capture_output=True, check=False).returncode == 0
    finally:
        for name in namespaces:
            subprocess.run(["ip", "netns", "delete", name], check=True)
        subprocess.run(["ip", "link", "delete", "tforeign0"], check=True)


def test_an_interface_that_is_not_the_labs_is_refused_by_name(cli: Cli) -> None:
    subprocess.run(["ip", "link", "add", cli.config.uplink, "type", "bridge"], check=True)
    try:
        refused = cli("start")
        assert refused.returncode == 2
        assert f"interface {cli.config.uplink} exists and is not the lab's" in refused.stderr
        assert "Traceback" not in refused.stderr
    finally:
        subprocess.run(["ip", "link", "delete", cli.config.uplink], check=True)


def test_a_block_that_is_taken_is_refused_with_who_has_it(cli: Cli) -> None:
    subprocess.run(["ip", "link", "add", "tforeign1", "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "address", "add", "198.19.20.64/26", "dev", "tforeign1"], check=True)
        subprocess.run(["ip", "link", "set", "tforeign1", "up"], check=True)
        refused = cli("start")
        assert refused.returncode == 2
        assert "198.19.20.0/24 is taken" in refused.stderr
        assert "tforeign1" in refused.stderr
    finally:
        subprocess.run(["ip", "link", "delete", "tforeign1"], check=True)


def test_a_taken_port_names_its_owner_and_the_next_start_works(cli: Cli) -> None:
    cli.start()
    cli.kill_daemon()
    for port, what in ((8000, "the API"), (8001, "the mirror"), (53, "the name server")):
        with socket.create_server((str(cli.config.services), port)):
            refused = cli("start")
        assert refused.returncode == 2
        assert f"{what} cannot listen on {cli.config.services}:{port}" in refused.stderr
        assert f"pid={os.getpid()}" in refused.stderr
    cli.start()


def test_a_lab_of_the_same_name_elsewhere_is_named_with_its_pid(cli: Cli, tmp_path: Path) -> None:
    other = Cli(LabConfig(directory=tmp_path / "elsewhere", name=cli.config.name, block=cli.config.block))
    cli.start()
    pid = cli.status()["pid"]
    for command in ("start", "stop"):
        refused = other(command)
        assert refused.returncode == 2
        assert str(cli.config.directory) in refused.stderr
        assert str(pid) in refused.stderr
    # A killed one does not stand in the way: its leftovers are cleared, its disks and its account stay.
    cli.kill_daemon()
    assert "clearing" in other.start()
    assert other("stop", "--purge").returncode == 0
    assert (cli.config.directory / "cloud.sqlite").exists()


def test_a_full_disk_is_told_before_anything_is_made(cli: Cli) -> None:
    cli.config.directory.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tfull", cli.config.directory], check=True)
    try:
        refused = cli("start")
        assert refused.returncode == 2
        assert f"MiB are free in {cli.config.directory}" in refused.stderr
        assert "make room" in refused.stderr
    finally:
        subprocess.run(["umount", cli.config.directory], check=True)


def test_a_daemon_that_cannot_start_prints_why_on_the_terminal(cli: Cli) -> None:
    cli.config.directory.mkdir(parents=True)
    (cli.config.directory / "hosts").write_text("not a folder")
    (cli.config.directory / "cloud.sqlite").write_text("not a database, and long enough to be read as one" * 30)
    failed = cli("start")
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: ")
    assert "lab.log" in failed.stderr
    assert not cli.status()["running"]
