"""Hosts of etcd as folders of this machine: the real step and the real etcd run there, under a systemctl of ours."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from model import paths, ports
from model.assets import read
from model.files import HostFile, as_stdin
from model.secrets import AuthorityCertificates, LeafCertificate
from model.services import etcd
from model.topology import HostSpec
from tests.apiserver.server import free_ports
from tests.unit.rendered import CLUSTER, TOPOLOGY
from toolchain import PROGRAMS, build

PORTS = (ports.ETCD_CLIENT, ports.ETCD_PEER, ports.ETCD_METRICS, ports.ETCD_HTTP)
ADDRESS = "127.0.0.2"
"""Of all members; etcd listens on 127.0.0.1 for clients as well."""

SYSTEMCTL = """\
#!/bin/bash
# What a step asks of systemd, for the one unit of this host.
for fd in /proc/$$/fd/*; do
  fd=${fd##*/}
  ((fd < 3 || fd == 255)) || eval "exec $fd>&-"
done
pid=$(cat ROOT/etcd.pid 2>/dev/null)
runs() { [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; }
case $1 in
is-active)
  # A member is active once it has been part of a quorum.
  runs && grep -q 'ready to serve client requests' ROOT/etcd.log && { [ "$2" = --quiet ] || echo active; exit 0; }
  [ "$2" = --quiet ] || echo inactive
  exit 3
  ;;
start | restart | stop)
  [ "$1" != start ] || ! runs || exit 0
  if runs; then
    kill -TERM -- -"$pid"
    while kill -0 -- -"$pid" 2>/dev/null; do sleep 0.05; done
  fi
  [ "$1" != stop ] || exit 0
  unit=ROOT/etc/systemd/system/etcd.service
  set -a
  for file in $(sed -n 's/^EnvironmentFile=//p' "$unit"); do
    [ -e "$file" ] || { echo "Failed to load environment files: $file" >&2; exit 1; }
    . "$file"
  done
  ETCD_UNSAFE_NO_FSYNC=true
  eval "words=($(sed -n '/^ExecStart=/,/[^\\\\]$/{s/^ExecStart=//;s/\\\\$//;p}' "$unit" | tr '\\n' ' '))"
  setsid timeout 900 "BINARIES/etcd" "${words[@]:1}" >ROOT/etcd.log 2>&1 </dev/null &
  echo $! >ROOT/etcd.pid
  ;;
esac
"""


@dataclass
class Pki:
    """One authority for everything, and leaves that end at a given moment."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.certificate = self._sign("authority", self.key, datetime.now(UTC) + timedelta(days=1), authority=True)

    def bundle(self, host: HostSpec, *, ends: datetime) -> tuple[HostFile, ...]:
        """Secret files of a host, by their paths there."""
        made: dict[str, str] = {}
        files = []
        for file in etcd.secrets(CLUSTER, host):
            if isinstance(file.content, AuthorityCertificates):
                content = self.certificate
            else:
                if isinstance(file.content, LeafCertificate):
                    key = ec.generate_private_key(ec.SECP256R1())
                    made[file.content.leaf.name] = key.private_bytes(
                        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
                    ).decode()
                    content = self._sign(file.content.leaf.name, key, ends)
                else:
                    content = made[file.content.leaf.name]  # type: ignore[union-attr]  # the certificate comes before
            files.append(HostFile(path=file.path, content=content, owner=file.owner))
        return tuple(files)

    def _sign(self, name: str, key: ec.EllipticCurvePrivateKey, ends: datetime, *, authority: bool = False) -> str:
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(each)) for each in ("127.0.0.1", ADDRESS)])
        built = (
            x509.CertificateBuilder(issuer, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(ends - timedelta(days=2))
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(names, critical=False)
        )
        return built.sign(self.key, SHA256()).public_bytes(Encoding.PEM).decode()


@dataclass
class Member:
    """A host of etcd: a folder, and ports that nobody else has."""

    spec: HostSpec
    root: Path
    numbers: tuple[int, ...]
    pki: Pki
    neighbours: Mapping[str, tuple[int, ...]]
    """Private name → ports, of all members."""

    def __post_init__(self) -> None:
        self.bin = self.root / "bin"
        self.bin.mkdir(parents=True)
        (self.root / "run").mkdir()
        folder = build(PROGRAMS["etcd"]).path("etcd").parent
        for name, script in {
            "systemctl": SYSTEMCTL.replace("ROOT", str(self.root)).replace("BINARIES", str(folder)),
            **dict.fromkeys(("id", "useradd", "chown"), "#!/bin/sh\n"),
        }.items():
            (self.bin / name).write_text(script)
            (self.bin / name).chmod(0o755)
        self.binaries = folder
        self._write(paths.HOST_ENVIRONMENT, f"PRIVATE_ADDRESS={ADDRESS}\n")
        self._write(paths.STEP_LIBRARY, self.here(read("steps/step.sh")))

    @property
    def client_url(self) -> str:
        return f"https://{ADDRESS}:{self.numbers[0]}"

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"PATH": f"{self.bin}:{self.binaries}:{os.environ['PATH']}"}

    def here(self, text: str) -> str:
        """Put what a script says of a host into this folder, and its names and ports to where members are."""
        for name, numbers in self.neighbours.items():
            for port, number in zip(PORTS, numbers, strict=True):
                text = text.replace(f"{name}:{port.number}", f"{ADDRESS}:{number}")
            text = text.replace(name, ADDRESS)
        for port, number in zip(PORTS, self.numbers, strict=True):
            text = text.replace(f":{port.number}", f":{number}")
        text = text.replace("PATH=/usr/local/bin:", f"PATH={self.bin}:{self.binaries}:")
        for prefix in ("/etc/", "/var/lib/", "/usr/local/lib/"):
            text = text.replace(prefix, f"{self.root}{prefix}")
        return text

    def path(self, there: str) -> Path:
        """Where a file of the host is."""
        return self.root / there.lstrip("/")

    def _write(self, there: str, content: str) -> None:
        self.path(there).parent.mkdir(parents=True, exist_ok=True)
        self.path(there).write_text(content)

    def shell(self, script: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run what a host's shell would run, as root there."""
        return subprocess.run(
            ["/bin/bash", "-c", self.here(script)],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
            start_new_session=True,
        )

    def step(self, *, first: bool = False) -> subprocess.CompletedProcess[str]:
        """Run the member's step, with new certificates."""
        script = etcd.service(CLUSTER, self.spec, first=first).script
        ends = datetime.now(UTC) + timedelta(hours=1)
        files = [
            HostFile(path=str(self.path(file.path)), content=file.content, owner=file.owner)
            for file in self.pki.bundle(self.spec, ends=ends)
        ]
        return self.shell(script, as_stdin(tuple(files)))

    def outlive(self) -> None:
        """Have certificates that have ended: etcd reads its own at each handshake."""
        for file in self.pki.bundle(self.spec, ends=datetime.now(UTC) - timedelta(minutes=1)):
            self.path(file.path).write_text(file.content)

    def systemctl(self, *words: str) -> str:
        done = self.shell(f"systemctl {' '.join(words)}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ctl(self, *words: str) -> str:
        """Ask as etcdctl on this host does, of this member alone."""
        done = self.shell(
            f"set -a; . {paths.ETCD_CTL_ENVIRONMENT}; ETCDCTL_ENDPOINTS={self.client_url} "
            f"etcdctl --dial-timeout=2s --command-timeout=5s {' '.join(words)}"
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def answers(self) -> bool:
        """Whether a client with certificates of this host gets anything from this member."""
        try:
            self.ctl("endpoint", "health")
        except AssertionError:
            return False
        return True

    def crash(self) -> None:
        """End it at once, as a host's power does."""
        with suppress(FileNotFoundError, ProcessLookupError):
            os.killpg(int((self.root / "etcd.pid").read_text()), signal.SIGKILL)


@contextmanager
def members(folder: Path) -> Iterator[list[Member]]:
    """Three hosts without anything on them; nothing of them runs afterwards."""
    numbers = free_ports(len(TOPOLOGY.etcd) * len(PORTS))
    own = {
        spec.private_name: tuple(numbers[position * len(PORTS) : (position + 1) * len(PORTS)])
        for position, spec in enumerate(TOPOLOGY.etcd)
    }
    pki = Pki()
    made = [Member(spec, folder / spec.name, own[spec.private_name], pki, own) for spec in TOPOLOGY.etcd]
    try:
        yield made
    finally:
        for member in made:
            member.crash()


def found(hosts: list[Member]) -> None:
    """The first `up`."""
    for member in hosts:
        done = member.step(first=True)
        assert done.returncode == 0, done.stderr
