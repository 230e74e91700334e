"""What a command needs before it can begin; each piece is skipped where it is there already."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path

from lab import cloud, mirror, plugins, toolchain
from lab.hosts import image, operator
from lab.machines import MachineError
from launcher import lab, stacks
from launcher.access import ca_public_key
from launcher.engine import Engine, make_passphrase
from launcher.errors import LauncherError
from launcher.report import Progress, Report
from launcher.workspace import Workspace

ENGINE = ("pulumi", "pulumi-language-python")
RELEASES = ("etcd", "kubernetes", "flannel")
"""The components that hosts install, in the order in which their builds are waited for."""

OFFICIAL = "TRIPLANE_OFFICIAL_PLUGINS"
"""Set to 1 where the engine may use, and download, the official provider plugins."""


def official_plugins(environment: Mapping[str, str]) -> Path | None:
    """Find the engine's plugin folder, where the official plugins are in it (in the SDKs' versions) or may come."""
    folder = Path(environment.get("PULUMI_HOME") or Path.home() / ".pulumi") / "plugins"
    wanted = [f"resource-{name}-v{installed_version(f'pulumi-{name}')}" for name in plugins.PLUGINS]
    there = all((folder / name).is_dir() for name in wanted)
    return folder if there or environment.get(OFFICIAL) == "1" else None


def installed_pulumi(environment: Mapping[str, str], minimum: str) -> Path | None:
    """Find a pulumi of the user's that is new enough for the SDK, with its Python host beside it."""
    found = shutil.which("pulumi", path=environment.get("PATH", os.defpath))
    if found is None:
        return None
    program = Path(found).resolve()
    said = subprocess.run(
        [program, "version"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env=dict(environment) | {"PULUMI_SKIP_UPDATE_CHECK": "true"},
    ).stdout
    parsed = re.match(r"v?(\d+)\.(\d+)\.(\d+)", said.strip())
    new_enough = parsed is not None and tuple(map(int, parsed.groups())) >= tuple(map(int, minimum.split(".")))
    return program if new_enough and (program.parent / "pulumi-language-python").exists() else None


def place(source: Path, target: Path) -> None:
    """Put a program into a folder of PATH, without a copy where possible.

    A hard link, not a symbolic one: the engine trusts the language host that lies beside its own, resolved, path.
    """
    if target.exists() and (target.samefile(source) or _same_copy(source, target)):
        return
    draft = target.with_name(f".{target.name}.new")
    draft.unlink(missing_ok=True)
    try:
        os.link(source, draft)
    except OSError:  # another file system
        shutil.copy2(source, draft)
    draft.replace(target)


def _same_copy(source: Path, target: Path) -> bool:
    one, other = source.stat(), target.stat()
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


@dataclass(frozen=True, kw_only=True, slots=True)
class Preparation:
    """Makes the pieces, in the order in which they need each other."""

    workspace: Workspace
    report: Report

    def engine(self, *, resolving: bool = False) -> Engine:
        """Pulumi and its plugins on a PATH of our own, and the passphrase of the state.

        With `resolving`, what it runs sees the lab's names; the lab must be up for that.
        """
        workspace = self.workspace
        workspace.prepare()
        self._shown(ENGINE)
        official = official_plugins(os.environ)
        if official is None:
            plugins.install(workspace.bin, workspace.python)
        else:
            for name in plugins.PLUGINS:
                (workspace.bin / f"pulumi-resource-{name}").unlink(missing_ok=True)
            _link_plugins(official, workspace.pulumi_home / "plugins")
        make_passphrase(workspace)
        return Engine(
            workspace=workspace,
            report=self.report,
            official_plugins=official is not None,
            wrapper=tuple(operator.command(workspace.lab, [])) if resolving else (),
        )

    def stack(self, engine: Engine, stack: str) -> None:
        """Make the stack's files, the stack itself, and the secrets of a lab that runs."""
        stacks.ensure(engine, stack, self._machine(), lab.tokens(self.workspace))

    def everything(self, stack: str) -> None:
        """Have what an `up` takes from this machine: the engine, the stack's releases, and the hosts' image.

        Compiling takes the processor and the image mostly the network, so they are made side by side.
        """
        stacks.write_files(self.workspace, stack, self._machine())
        settings = stacks.settings(self.workspace, stack)
        versions = settings.get("triplane:versions") or {}
        slug = settings.get("triplane:image") or "debian-12-x64"
        progress = self.report.progress()
        with progress.shown(), ThreadPoolExecutor(max_workers=1) as pool:
            image_made = pool.submit(self._image, slug, progress)
            try:
                self._programs(ENGINE, progress)
                builds = self._built([(name, versions.get(name)) for name in RELEASES], progress)
                mirror.publish(self._mirror, builds)
            except toolchain.ToolchainError as error:
                raise LauncherError(str(error)) from error
            image_made.result()

    def kubectl(self) -> Path:
        """Have the kubectl of the default version."""
        self._shown(("kubernetes",), only=("kubectl",))
        return self.workspace.bin / "kubectl"

    def _shown(self, names: tuple[str, ...], only: tuple[str, ...] = ()) -> None:
        progress = self.report.progress()
        try:
            with progress.shown():
                self._programs(names, progress, only)
        except toolchain.ToolchainError as error:
            raise LauncherError(str(error)) from error

    @property
    def _mirror(self) -> Path:
        return self.workspace.lab.cache / "mirror"

    def _image(self, slug: str, progress: Progress) -> None:
        name = "the hosts' image"
        if slug in image.RELEASES and image.path(self.workspace.lab.images, slug).is_dir():
            return
        try:
            image.ensure(self.workspace.lab.images, slug, lambda line: progress.update(name, line))
        except MachineError as error:
            raise LauncherError(str(error)) from error
        progress.done(name)

    def _programs(self, names: tuple[str, ...], progress: Progress, only: tuple[str, ...] = ()) -> None:
        """Have programs in the folder for PATH: the user's own pulumi where it will do, else built ones."""
        if names == ENGINE and (own := installed_pulumi(os.environ, toolchain.PROGRAMS["pulumi"].versions[0])):
            for path in (own, *own.parent.glob("pulumi-*python*")):
                place(path, self.workspace.bin / path.name)
            return
        for build in self._built([(name, None) for name in names], progress):
            for file in build.sha256:
                if not only or file in only:
                    place(build.path(file), self.workspace.bin / file)

    def _built(self, wanted: Sequence[tuple[str, str | None]], progress: Progress) -> list[toolchain.Build]:
        """Get builds of programs, from the cache where they are in it."""
        if missing := [name for name, version in wanted if toolchain.cached(name, version) is None]:
            self.report.say(f"building {', '.join(missing)}: once, then kept in {self.workspace.lab.cache}")
        builds = []
        for name, version in wanted:
            builds.append(
                toolchain.build(name, version, on_progress=lambda step: progress.update(step.program, str(step)))
            )
            if name in missing:
                progress.done(name)
        return builds

    def _machine(self) -> stacks.Machine:
        catalog = self._mirror / mirror.CATALOG
        return stacks.Machine(
            api_url=self.workspace.lab.api_url,
            mirror_url=self.workspace.lab.mirror_url,
            digests=mirror.digests(catalog) if catalog.exists() else {},
            ssh_ca_public_key=ca_public_key(self.workspace),
            operator=f"{self.workspace.lab.services}/32",
            zone={"id": cloud.ZONE_ID, "name": cloud.ZONE_NAME},
        )


def _link_plugins(official: Path, folder: Path) -> None:
    """Share the user's plugin folder, so that a download of 100 MB happens once."""
    official.mkdir(parents=True, exist_ok=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    if not folder.exists():
        folder.symlink_to(official)
