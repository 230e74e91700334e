"""Real hosts for tests: a lab of its own name and block for each module, of which nothing is left afterwards."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

from lab import instances
from lab.config import REGISTRY, LabConfig
from lab.hosts import cleanup, inotify, requirements
from lab.hosts.network import Network
from lab.hosts.nspawn import LocalMachines
from lab.interfaces import Machine
from tests.waiting import wait_for

# A host that answers on every port a test may ask about, and knows how to ask others.
USER_DATA = """\
#cloud-config
write_files:
- path: /usr/local/bin/echo-server
  permissions: "0755"
  content: |
    #!/usr/bin/python3
    import socketserver, threading

    class Stream(socketserver.BaseRequestHandler):
        def handle(self):
            while data := self.request.recv(1024):
                self.request.sendall(data)

    class Datagram(socketserver.BaseRequestHandler):
        def handle(self):
            data, sock = self.request
            sock.sendto(data, self.client_address)

    class Tcp(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    for port in (7001, 7002):
        for server in (Tcp(("", port), Stream), socketserver.UDPServer(("", port), Datagram)):
            threading.Thread(target=server.serve_forever).start()
- path: /usr/local/bin/probe
  permissions: "0755"
  content: |
    #!/usr/bin/python3
    import socket, subprocess, sys

    protocol, host, *port = sys.argv[1:]
    if protocol == "icmp":
        sys.exit(subprocess.call(["ping", "-q", "-c1", "-W1", host], stdout=subprocess.DEVNULL))
    kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}[protocol]
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.settimeout(1)
        try:
            sock.connect((host, int(port[0])))
            sock.sendall(b"hello")
            sys.exit(0 if sock.recv(5) == b"hello" else 1)
        except OSError as error:
            sys.exit(f"{error}")
- path: /etc/systemd/system/echo.service
  content: |
    [Service]
    ExecStart=/usr/local/bin/echo-server
    [Install]
    WantedBy=multi-user.target
runcmd:
- systemctl enable --now echo
- echo "user data ran" >/root/ran
"""


@dataclass
class Bench:
    """A lab without its daemon: network, hosts, and a key that opens them."""

    config: LabConfig
    machines: LocalMachines
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(100)))

    @cached_property
    def key(self) -> Path:
        path = self.config.directory / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        return path

    def machine(
        self, name: str, *, vpc: str = "one", user_data: str = USER_DATA, image: str = "debian-12-x64"
    ) -> Machine:
        """Describe the next host; VPC `one` is 10.71.0.0/20, `two` is 10.72.0.0/20."""
        number = next(self._numbers)
        private = {"one": IPv4Network("10.71.0.0/20"), "two": IPv4Network("10.72.0.0/20")}[vpc]
        return Machine(
            id=9000 + number,
            name=name,
            image=image,
            region="fra1",
            size="s-1vcpu-1gb",
            public=IPv4Interface((int(self.config.first_droplet) + number, self.config.block.prefixlen)),
            private=IPv4Interface((int(private[number + 2]), private.prefixlen)),
            vpc=vpc,
            public_keys=(self.key.with_suffix(".pub").read_text().strip(),),
            user_data=user_data,
        )

    def ssh(
        self, machine: Machine, command: str, *, known_hosts: Path | None = None, port: int = 22, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a host as root."""
        return ssh(machine.public.ip, self.key, command, known_hosts=known_hosts, port=port, stdin=stdin)

    def answer(self, machine: Machine, command: str) -> str:
        """Return what a command on a host printed; it must succeed."""
        done = self.ssh(machine, command)
        assert done.returncode == 0, f"{machine.name}: {command}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def wait_for_ssh(self, machine: Machine, seconds: float = 30) -> None:
        wait_for(f"ssh to {machine.name}", lambda: self.ssh(machine, "true").returncode == 0, seconds)

    def wait_for_boot(self, machine: Machine) -> None:
        """Wait until user data has been run, without an error."""
        self.wait_for_ssh(machine)
        # From 23.4 on, 2 means: done, with warnings, deprecations among them (cloud-init, "Return codes").
        self.answer(machine, "cloud-init status --wait || [ $? -eq 2 ]")


def ssh(
    address: IPv4Address,
    key: Path,
    command: str,
    *,
    known_hosts: Path | None = None,
    port: int = 22,
    stdin: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a command over ssh; with `known_hosts` the host's key is checked against it."""
    check = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    if known_hosts is not None:
        check = ["-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={known_hosts}"]
    return subprocess.run(
        [
            *("ssh", "-F", "none", "-i", str(key), "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
            *("-o", "ConnectTimeout=2", "-p", str(port), *check, f"root@{address}", command),
        ],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def hosts_lab(directory: Path, name: str, block: str) -> Iterator[Bench]:
    """Run hosts without API and daemon; whatever happens inside, nothing is left."""
    config = LabConfig(directory=directory, name=name, block=IPv4Network(block))
    directory.mkdir(parents=True, exist_ok=True)
    requirements.check(config)
    cleanup.clear(config)  # of a run that was killed
    REGISTRY.mkdir(exist_ok=True)
    try:
        instances.write(config)
        inotify.ensure()
        Network(config).up()
        bench = Bench(config, LocalMachines(config))
        bench.machines.set_firewalls({})
        yield bench
    finally:
        cleanup.clear(config)
        inotify.put_back(config.name)
        instances.forget(config.name)


def traces(config: LabConfig) -> list[str]:
    """List what this machine shows of a lab, or of one host's namespace, asked of the system's own tools."""

    def lines(*argv: str) -> list[str]:
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()

    marks = (f"triplane-{config.name}-", f"{config.uplink}@", f"{config.uplink}:", f"{config.directory}/hosts")
    shown = [
        *lines("ip", "netns", "list"),
        *lines("ip", "-o", "link", "show"),
        *lines("cat", "/proc/mounts"),
        *lines("ps", "-eo", "pid,args"),
        *(str(path) for path in Path("/sys/fs/cgroup").rglob(f"triplane/{config.name}/*")),
    ]
    cgroup = f"/triplane/{config.name}/"
    return [line for line in shown if any(mark in line for mark in (*marks, cgroup))]
