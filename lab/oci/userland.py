"""A small Debian to put into an image: a shell, and the tools that people and tests call in a container."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.hosts import commands, rootfs
from lab.hosts.commands import missing, remedy
from lab.interfaces import MachineError
from toolchain.locks import locked


@dataclass(frozen=True, kw_only=True, slots=True)
class Userland:
    """Debian packages, unpacked into a folder but not configured: containers do not need that."""

    name: str
    packages: tuple[str, ...]
    release: str = "bookworm"

    @property
    def digest(self) -> str:
        """Digest of what decides its content, except for the packages' versions, which are the current ones."""
        return hashlib.sha256(json.dumps([self.release, self.packages]).encode()).hexdigest()

    def path(self, folder: Path) -> Path:
        """Return its path once it is unpacked."""
        return folder / f"{self.name}-{self.digest[:12]}"

    def ensure(self, folder: Path, say: Callable[[str], None]) -> Path:
        """Return its root, and unpack it first if it is not there: half a minute, once.

        Errors: `MachineError` where a program is missing or packages cannot be downloaded.
        """
        target = self.path(folder)
        if target.is_dir():
            return target
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / f".{self.name}.lock"):
            if not target.is_dir():
                say("unpacking Debian's packages")
                self._unpack(target)
        return target

    def _unpack(self, target: Path) -> None:
        what = f"making the {self.name} image's file system"
        for program in missing(["mmdebstrap", "unshare"]):
            raise MachineError(f"{what}: {program!r} is not installed; {remedy(program)}")
        unfinished = target.with_name(f".{target.name}.unfinished")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        command = [
            *("unshare", "--mount", "--propagation", "private"),
            *("mmdebstrap", "--mode=root", "--variant=extract", "--format=directory"),
            *(f"--aptopt={option}" for option in rootfs.apt_options()),
            f"--include={','.join(self.packages)}",
            *(self.release, str(unfinished), *rootfs.sources(self.release)),
        ]
        environment = {"PATH": commands.environment()["PATH"], "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        ran = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, check=False
        )
        if ran.returncode:
            shutil.rmtree(unfinished, ignore_errors=True)
            said = ran.stderr.splitlines()
            errors = [line for line in said if line.startswith("E: ")][:2] or said[-2:]
            raise MachineError(
                f"{what} failed: {' / '.join(errors)}. Are Debian's packages reachable (`apt-get update`)?"
            )
        unfinished.rename(target)
