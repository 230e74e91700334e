"""Paths of one checkout's lab on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

import yaml

from lab.config import ConfigError, LabConfig
from launcher.errors import MistakeError
from launcher.report import Report
from toolchain.locks import locked

CHECKOUT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True, slots=True)
class Workspace:
    """A checkout and the folder that all its runtime files are in (`.triplane`, unless TRIPLANE_DIR says otherwise)."""

    directory: Path
    lab: LabConfig
    checkout: Path = CHECKOUT
    stack: str = "lab"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Workspace:
        """Read TRIPLANE_DIR, TRIPLANE_LAB and TRIPLANE_LAB_BLOCK, which make a second lab beside the first."""
        directory = Path(environment.get("TRIPLANE_DIR") or CHECKOUT / ".triplane").absolute()
        block = environment.get("TRIPLANE_LAB_BLOCK") or "198.18.0.0/24"
        try:
            network = IPv4Network(block)
        except ValueError as error:
            raise MistakeError(f"TRIPLANE_LAB_BLOCK={block}: {error}; write a network such as 198.19.0.0/24") from error
        try:
            lab = LabConfig(directory=directory / "lab", name=environment.get("TRIPLANE_LAB") or "lab", block=network)
        except ConfigError as error:
            raise MistakeError(f"TRIPLANE_LAB, TRIPLANE_LAB_BLOCK: {error}") from error
        return cls(directory=directory, lab=lab)

    @property
    def venv(self) -> Path:
        """The virtual environment's programs."""
        return self.checkout / ".venv" / "bin"

    @property
    def python(self) -> Path:
        """The Python that the program, the lab and the stand-ins run on."""
        return self.venv / "python"

    @property
    def bin(self) -> Path:
        """Directory on the engine's PATH."""
        return self.directory / "bin"

    @property
    def state(self) -> Path:
        """The engine's state backend."""
        return self.directory / "state"

    @property
    def passphrase(self) -> Path:
        """File with the passphrase of the state's secrets."""
        return self.directory / "passphrase"

    @property
    def pulumi_home(self) -> Path:
        """The engine's own files, kept apart from those of the user's other projects."""
        return self.directory / "pulumi-home"

    @property
    def ssh(self) -> Path:
        """The SSH CA for people, and the key pair that it certifies."""
        return self.directory / "ssh"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.directory / "kubeconfig"

    @property
    def project(self) -> str:
        """The Pulumi project's name."""
        return str(yaml.safe_load((self.checkout / "Pulumi.yaml").read_text())["name"])

    def prepare(self) -> None:
        """Make the folder, closed to everyone else."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        self.bin.mkdir(exist_ok=True)
        self.state.mkdir(exist_ok=True)

    @contextmanager
    def locked(self, report: Report) -> Iterator[None]:
        """Make the folder, and hold its lock, so that only one launcher at a time changes its files."""
        self.prepare()
        waiting = "waiting for another ./triplane in this checkout to finish"
        with locked(self.directory / "launcher.lock", lambda: report.say(waiting)):
            yield
