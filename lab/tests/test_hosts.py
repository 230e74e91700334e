"""Hosts behind the `Machines` seam, booted for real."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from lab import faults
from lab.config import LabConfig
from lab.hosts.nspawn import LocalMachines
from lab.interfaces import Firewall, Machine, MachineError, Power, Rule
from lab.tests.labs import Bench, hosts_lab, traces
from tests.waiting import wait_for

pytestmark = pytest.mark.hosts

EVERYONE = (IPv4Network("0.0.0.0/0"),)
SSH = Rule(protocol="tcp", ports=(22, 22), peers=EVERYONE)
ANYTHING = tuple(Rule(protocol=protocol, ports=None, peers=EVERYONE) for protocol in ("tcp", "udp", "icmp"))


@dataclass(frozen=True)
class Town:
    """Two hosts in one VPC, and a third in another."""

    bench: Bench
    one: Machine
    two: Machine
    far: Machine

    def reaches(self, source: Machine, *probe: object) -> bool:
        return self.bench.ssh(source, " ".join(["probe", *map(str, probe)])).returncode == 0


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with hosts_lab(tmp_path_factory.mktemp("hosts"), "thosts", "198.19.10.0/24") as bench:
        machines = [
            bench.machine("one.lab.triplane.test"),
            bench.machine("two.lab.triplane.test"),
            bench.machine("far.lab.triplane.test", vpc="two"),
        ]
        with ThreadPoolExecutor() as workers:
            list(workers.map(bench.machines.create, machines))
            list(workers.map(bench.wait_for_boot, machines))
        yield Town(bench, *machines)


@pytest.fixture(autouse=True)
def open_again(town: Town) -> Iterator[None]:
    yield
    town.bench.machines.set_firewalls({})


def wall(town: Town, machine: Machine, *, inbound: tuple[Rule, ...], outbound: tuple[Rule, ...] = ANYTHING) -> None:
    town.bench.machines.set_firewalls({machine.id: Firewall(inbound=inbound, outbound=outbound)})


def only(*machines: Machine) -> tuple[IPv4Network, ...]:
    return tuple(
        IPv4Network(face.ip) for machine in machines for face in (machine.public, machine.private) if face is not None
    )


def test_a_host_has_its_given_name_addresses_and_resolver(town: Town) -> None:
    shown = town.bench.answer(town.one, "hostname; hostname -f; ip -brief -4 address; cat /etc/resolv.conf")
    assert shown.splitlines()[:2] == ["one.lab.triplane.test"] * 2
    assert f" {town.one.public} " in f"{shown} ".replace("\n", " ")
    assert str(town.one.private) in shown
    assert f"nameserver {town.bench.config.services}" in shown
    assert town.bench.answer(town.one, "ip -6 address") == ""


def test_cloud_init_runs_user_data_once_and_without_an_error(town: Town) -> None:
    assert town.bench.answer(town.one, "cat /root/ran") == "user data ran"
    assert '"errors": []' in town.bench.answer(town.one, "cat /run/cloud-init/result.json")
    assert town.bench.answer(town.one, "systemctl is-system-running --wait") == "running"


def test_no_two_hosts_share_an_identity(town: Town) -> None:
    command = "cat /etc/machine-id; ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub; cat /sys/class/net/eth0/address"
    ids = [town.bench.answer(machine, command).splitlines() for machine in (town.one, town.two, town.far)]
    assert all(len(set(column)) == 3 for column in zip(*ids, strict=True)), ids


def test_hosts_connect_by_public_addresses_or_within_a_vpc(town: Town) -> None:
    for protocol, *port in (("tcp", 7001), ("udp", 7001), ("icmp",)):
        assert town.reaches(town.one, protocol, town.far.public.ip, *port)
        assert town.reaches(town.one, protocol, town.two.private.ip, *port)  # type: ignore[union-attr]
        assert not town.reaches(town.one, protocol, town.far.private.ip, *port)  # type: ignore[union-attr]
        assert not town.reaches(town.far, protocol, town.one.private.ip, *port)  # type: ignore[union-attr]


def test_inbound_rules_hold_on_both_addresses_for_all_protocols(town: Town) -> None:
    admitted = only(town.one)
    wall(
        town,
        town.two,
        inbound=(
            SSH,
            Rule(protocol="tcp", ports=(7001, 7001), peers=admitted),
            Rule(protocol="udp", ports=(7000, 7001), peers=admitted),
        ),
    )
    for face in (town.two.public, town.two.private):
        assert face is not None
        assert town.reaches(town.one, "tcp", face.ip, 7001)
        assert town.reaches(town.one, "udp", face.ip, 7001)
        assert not town.reaches(town.one, "tcp", face.ip, 7002)
        assert not town.reaches(town.one, "udp", face.ip, 7002)
        assert not town.reaches(town.one, "icmp", face.ip)
    assert not town.reaches(town.far, "tcp", town.two.public.ip, 7001)
    # Replies come back to the walled host, and hosts without a wall stay open.
    assert town.reaches(town.two, "tcp", town.one.public.ip, 7002)
    assert town.reaches(town.two, "icmp", town.one.public.ip)
    assert town.reaches(town.far, "tcp", town.one.public.ip, 7002)
    wall(town, town.two, inbound=(SSH, Rule(protocol="icmp", ports=None, peers=admitted)))
    assert town.reaches(town.one, "icmp", town.two.public.ip)
    assert not town.reaches(town.one, "tcp", town.two.public.ip, 7001)


def test_outbound_rules_hold_while_replies_still_go_out(town: Town) -> None:
    wall(town, town.one, inbound=ANYTHING, outbound=(Rule(protocol="tcp", ports=(7001, 7001), peers=only(town.two)),))
    assert town.reaches(town.one, "tcp", town.two.public.ip, 7001)
    assert not town.reaches(town.one, "tcp", town.two.public.ip, 7002)
    assert not town.reaches(town.one, "udp", town.two.public.ip, 7001)
    assert not town.reaches(town.one, "tcp", town.far.public.ip, 7001)
    assert town.reaches(town.far, "tcp", town.one.public.ip, 7002)


def test_the_operator_is_subject_to_inbound_rules_too(town: Town) -> None:
    assert town.bench.ssh(town.two, "true").returncode == 0
    wall(town, town.two, inbound=())
    assert town.bench.ssh(town.two, "true").returncode == 255


def test_removing_a_rule_ends_the_flow_it_allowed(town: Town) -> None:
    talk = (
        "exec 3<>/dev/tcp/{address}/7001; for turn in $(seq 100); do echo $turn >&3; read -t 2 -u 3 got || exit 9; "
        "echo $got; sleep 0.1; done"
    )
    script = talk.format(address=town.two.public.ip)
    wall(town, town.two, inbound=(SSH, Rule(protocol="tcp", ports=(7001, 7001), peers=only(town.one))))
    with ThreadPoolExecutor() as workers:
        talking = workers.submit(town.bench.ssh, town.one, f"bash -c '{script}'")
        wait_for(
            "the flow", lambda: ":7001" in town.bench.ssh(town.one, "ss -Htn state established").stdout, seconds=10
        )
        wall(town, town.two, inbound=(SSH,))
        ended = talking.result()
    assert ended.returncode == 9
    assert ended.stdout.startswith("1\n")


def test_a_host_cannot_speak_for_an_address_that_is_not_its_own(town: Town) -> None:
    stolen = "198.19.10.200"
    town.bench.answer(town.one, f"ip address add {stolen}/32 dev eth0")
    try:
        command = f"ping -q -c1 -W1 -I {stolen} {town.two.public.ip}"
        heard = "grep '^Icmp: [0-9]' /proc/net/snmp"
        before = town.bench.answer(town.two, heard).split()[1]
        assert town.bench.ssh(town.one, command).returncode != 0
        assert town.bench.answer(town.two, heard).split()[1] == before
    finally:
        town.bench.answer(town.one, f"ip address delete {stolen}/32 dev eth0")


def test_hosts_reach_only_the_labs_services_on_this_machine(town: Town) -> None:
    services = town.bench.config.services
    with socket.create_server((str(services), 7999)):
        socket.create_connection((str(services), 7999), timeout=1).close()
        assert town.bench.ssh(town.one, f"timeout 1 bash -c ': </dev/tcp/{services}/7999'").returncode != 0
    assert town.bench.ssh(town.one, f"ping -q -c1 -W1 {services}").returncode == 0


def test_vxlan_carries_traffic_between_two_hosts(town: Town) -> None:
    wall(town, town.two, inbound=(SSH, Rule(protocol="udp", ports=(8472, 8472), peers=only(town.one))))
    for machine, other, inner in ((town.one, town.two, 1), (town.two, town.one, 2)):
        assert machine.private is not None
        assert other.private is not None
        town.bench.answer(
            machine,
            f"ip link add vx0 type vxlan id 1 dev eth1 dstport 8472"
            f" local {machine.private.ip} remote {other.private.ip}"
            f" && ip address add 10.73.0.{inner}/24 dev vx0 && ip link set vx0 up && sysctl -qw net.ipv4.ip_forward=1",
        )
    try:
        assert town.reaches(town.one, "tcp", "10.73.0.2", 7002)
        assert town.reaches(town.two, "icmp", "10.73.0.1")
        town.bench.machines.set_firewalls({town.two.id: Firewall(inbound=(SSH,), outbound=ANYTHING)})
        assert not town.reaches(town.one, "tcp", "10.73.0.2", 7002)
    finally:
        for machine in (town.one, town.two):
            town.bench.answer(machine, "ip link delete vx0")


def test_sysctls_can_be_set_as_on_a_droplet_and_stay_per_host(town: Town) -> None:
    mine = Path("/proc/sys/vm/overcommit_memory").read_text()
    other = "1" if mine.strip() != "1" else "0"
    town.bench.answer(
        town.one,
        f"printf 'vm.overcommit_memory={other}\\nkernel.panic=10\\nnet.ipv4.ip_forward=1\\n' >/etc/sysctl.d/90-t.conf"
        " && sysctl --system",
    )
    assert town.bench.answer(town.one, "sysctl -n vm.overcommit_memory kernel.panic net.ipv4.ip_forward").split() == [
        other,
        "10",
        "1",
    ]
    assert Path("/proc/sys/vm/overcommit_memory").read_text() == mine


def test_a_hardened_unit_runs(town: Town) -> None:
    properties = (
        "ProtectSystem=strict ProtectHome=yes PrivateTmp=yes PrivateDevices=yes NoNewPrivileges=yes DynamicUser=yes "
        "ProtectKernelTunables=yes ProtectKernelModules=yes ProtectControlGroups=yes RestrictSUIDSGID=yes "
        "RestrictNamespaces=yes LockPersonality=yes MemoryDenyWriteExecute=yes RestrictRealtime=yes "
        "StateDirectory=hard CapabilityBoundingSet= SystemCallFilter=@system-service LimitNOFILE=65536 UMask=0077"
    )
    options = " ".join(f"-p '{name}'" for name in properties.split())
    written = town.bench.answer(
        town.one,
        f"systemd-run --wait --pipe -q {options} sh -c 'echo fine >$STATE_DIRECTORY/x; cat $STATE_DIRECTORY/x'",
    )
    assert written == "fine"
    refused = town.bench.ssh(town.one, f"systemd-run --wait --pipe -q {options} sh -c 'echo no >/etc/x'")
    assert refused.returncode != 0


def test_a_reboot_keeps_the_disk_and_forgets_the_rest(town: Town) -> None:
    bench, machine = town.bench, town.two
    bench.answer(machine, "echo kept >/root/kept; ip link add gone0 type veth; echo lost >/run/lost")
    before = bench.answer(machine, "cat /proc/sys/kernel/random/boot_id")
    bench.machines.reboot(machine.id)
    bench.wait_for_boot(machine)
    assert bench.answer(machine, "cat /proc/sys/kernel/random/boot_id") != before
    assert (
        bench.answer(machine, "cat /root/kept; ls /run/lost 2>/dev/null; ip link show gone0 2>/dev/null; true")
        == "kept"
    )
    # User data is for the first boot.
    bench.answer(machine, "rm /root/ran")
    bench.ssh(machine, "reboot")
    wait_for("the reboot", lambda: _boot_id(bench, machine) not in (before, "", None))
    bench.wait_for_boot(machine)
    assert bench.ssh(machine, "test -e /root/ran").returncode == 1
    assert bench.machines.power(machine.id) is Power.ON
    assert town.reaches(town.one, "tcp", machine.private.ip, 7001)  # type: ignore[union-attr]


def _boot_id(bench: Bench, machine: Machine) -> str:
    return bench.ssh(machine, "cat /proc/sys/kernel/random/boot_id").stdout.strip()


def test_power_is_cut_at_once_and_a_shutdown_is_clean(town: Town) -> None:
    bench, machine = town.bench, town.far
    bench.answer(
        machine,
        "printf '[Service]\\nType=oneshot\\nRemainAfterExit=1\\nExecStart=true\\n"
        'ExecStop=sh -c "echo bye >>/root/bye"\\n\''
        " >/etc/systemd/system/bye.service && systemctl start bye && sync",
    )
    bench.machines.power_off(machine.id)
    assert bench.machines.power(machine.id) is Power.OFF
    assert bench.ssh(machine, "true").returncode == 255
    bench.machines.power_on(machine.id)
    bench.wait_for_boot(machine)
    assert bench.ssh(machine, "cat /root/bye").returncode == 1
    bench.answer(machine, "systemctl start bye")
    bench.machines.shutdown(machine.id)
    assert bench.machines.power(machine.id) is Power.OFF
    bench.machines.power_on(machine.id)
    bench.wait_for_boot(machine)
    assert bench.answer(machine, "cat /root/bye") == "bye"


def test_a_host_that_powers_itself_off_is_seen_to_be_off(town: Town) -> None:
    bench, machine = town.bench, town.far
    bench.ssh(machine, "poweroff")
    wait_for("power off", lambda: bench.machines.power(machine.id) is Power.OFF)
    wait_for("its namespace to go", lambda: not any(f"-{machine.id}" in line for line in traces(bench.config)))
    bench.machines.power_on(machine.id)
    bench.wait_for_boot(machine)


def test_a_host_without_its_image_boots_once_the_image_is_back(town: Town) -> None:
    bench, machine = town.bench, town.far
    bench.machines.power_off(machine.id)
    name = bench.config.hosts / str(machine.id) / "image"
    right = name.read_text()
    name.write_text("debian-12-x64-ofyore")
    with pytest.raises(MachineError, match=r"host far\.lab.*: booting: its image .*ofyore is gone"):
        bench.machines.power_on(machine.id)
    assert bench.machines.power(machine.id) is Power.OFF
    name.write_text(right)
    bench.machines.power_on(machine.id)
    bench.wait_for_boot(machine)


def test_another_process_takes_the_hosts_over_as_they_are(town: Town) -> None:
    heir = LocalMachines(town.bench.config)
    assert {machine.id for machine in heir.known()} >= {town.one.id, town.two.id, town.far.id}
    assert heir.power(town.one.id) is Power.ON
    boot = _boot_id(town.bench, town.one)
    heir.create(town.one)
    heir.power_on(town.one.id)
    assert _boot_id(town.bench, town.one) == boot


def test_host_keys_from_user_data_are_the_ones_it_shows(town: Town, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", tmp_path / "host"], check=True)
    private = (tmp_path / "host").read_text().replace("\n", "\n    ")
    public = (tmp_path / "host.pub").read_text().strip()
    machine = town.bench.machine(
        "keyed.lab.triplane.test",
        user_data=f"#cloud-config\nssh_keys:\n  ed25519_private: |\n    {private}\n  ed25519_public: {public}\n",
    )
    known = tmp_path / "known_hosts"
    known.write_text(f"{machine.public.ip} {public}\n")
    # A wall that was set before the host was made counts from its first packet.
    town.bench.machines.set_firewalls({machine.id: Firewall(inbound=(), outbound=ANYTHING)})
    town.bench.machines.create(machine)
    try:
        assert town.bench.ssh(machine, "true").returncode == 255
        town.bench.machines.set_firewalls({machine.id: Firewall(inbound=(SSH,), outbound=ANYTHING)})
        wait_for("its key", lambda: town.bench.ssh(machine, "true", known_hosts=known).returncode == 0)
        assert town.bench.answer(machine, "cat /etc/ssh/ssh_host_ed25519_key.pub") == public
    finally:
        town.bench.machines.destroy(machine.id)
    assert not [line for line in traces(town.bench.config) if str(machine.id) in line]
    assert not (town.bench.config.hosts / str(machine.id)).exists()
    wires = subprocess.run(
        ["ip", "-netns", town.bench.config.router_namespace, "-o", "link"], capture_output=True, text=True, check=True
    )
    assert f"{machine.id}" not in wires.stdout
    town.bench.machines.destroy(machine.id)  # once more is not a error


def test_a_host_with_an_unknown_image_is_refused_and_not_made(town: Town) -> None:
    machine = replace(town.bench.machine("odd.lab.triplane.test"), image="beos-5")
    with pytest.raises(MachineError, match=r"beos-5.*debian-12-x64"):
        town.bench.machines.create(machine)
    assert not (town.bench.config.hosts / str(machine.id)).exists()


def test_a_lab_that_ends_leaves_nothing_on_the_machine(tmp_path: Path) -> None:
    with hosts_lab(tmp_path, "tgone", "198.19.12.0/24") as bench:
        machine = bench.machine("brief.lab.triplane.test")
        bench.machines.create(machine)
        config: LabConfig = bench.config
        assert traces(config)
    assert traces(config) == []


def test_a_host_that_boots_slowly_is_on_and_silent_until_then(town: Town) -> None:
    bench = town.bench
    slow = bench.machine("slow.lab.triplane.test")
    try:
        faults.change(bench.config.directory, ["boot_seconds=600"])
        bench.machines.create(slow)
        assert bench.machines.power(slow.id) is Power.ON
        assert bench.ssh(slow, "true").returncode == 255
        # Another daemon finds it on, and waits for nothing.
        LocalMachines(bench.config).restore(slow)
        assert bench.ssh(slow, "true").returncode == 255
        bench.machines.power_off(slow.id)
        assert bench.machines.power(slow.id) is Power.OFF
        faults.change(bench.config.directory, ["boot_seconds=1"])
        bench.machines.power_on(slow.id)
        bench.wait_for_boot(slow)
        bench.machines.reboot(slow.id)
        bench.wait_for_ssh(slow)
    finally:
        faults.clear(bench.config.directory, [])
        bench.machines.destroy(slow.id)
