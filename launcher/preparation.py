"""Preparation of this machine: binaries, images, plugins; each only if it is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import toolchain
from lab import cloud, mirror, oci, plugins
from lab.hosts import operator, rootfs
from lab.interfaces import MachineError
from launcher import lab_daemon, plugin_choice, plugin_download, stacks
from launcher.access import ca_public_key
from launcher.engine import Engine, make_passphrase
from launcher.errors import InterruptedByUserError, LauncherError, MistakeError
from launcher.plugin_download import plugin_folder
from launcher.report import Progress, Report
from launcher.workspace import Workspace
from model.digitalocean import DEFAULT_IMAGE
from toolchain.release_catalog import CatalogError

ENGINE = ("pulumi", "pulumi-language-python")
RELEASES = ("etcd", "kubernetes", "flannel", "containerd", "runc", "cni-plugins")
"""The components that hosts install, in the order in which the launcher waits for their builds."""

IMAGES = ("coredns", "kubernetes-images")
"""The programs that container images are made from."""


def pulumi_home(environment: Mapping[str, str]) -> Path:
    """Find the user's own folder for the engine's files."""
    return Path(environment.get("PULUMI_HOME") or Path.home() / ".pulumi")


def official_plugins(environment: Mapping[str, str]) -> Path | None:
    """Find the engine's plugin folder, if it has the official plugins (in the SDKs' versions) or may download them."""
    folder = pulumi_home(environment) / "plugins"
    return folder if not plugin_download.missing(folder) or environment.get(plugin_choice.OFFICIAL) == "1" else None


def host_images(settings: Mapping[str, Any]) -> list[str]:
    """Name the images that a stack's hosts boot from: the stack's image first, then those of pools.

    Raises `MistakeError` for an image that the lab cannot boot. The program itself refuses pools that are not a list.
    """
    asked = {"triplane:image": settings.get("triplane:image") or DEFAULT_IMAGE}
    pools = settings.get("triplane:pools")
    for position, pool in enumerate(pools if isinstance(pools, list) else ()):
        if isinstance(pool, dict) and pool.get("image"):
            asked[f"triplane:pools[{position}].image"] = str(pool["image"])
    for setting, slug in asked.items():
        if slug not in rootfs.IMAGES:
            known = " or ".join(sorted(rootfs.IMAGES))
            raise MistakeError(f"{setting} = {slug} is not an image that the lab can boot. Write {known}.")
    return list(dict.fromkeys(asked.values()))


def releases(versions: object) -> dict[str, str]:
    """Read the version of each component from `triplane:versions`; the default is the newest.

    A value that is not a mapping is ignored here: the program has a better message for it.
    """
    chosen = versions if isinstance(versions, dict) else {}
    found = {}
    for name in RELEASES:
        known = toolchain.PROGRAMS[name].versions
        setting = "cniPlugins" if name == "cni-plugins" else name
        found[name] = str(chosen.get(setting) or known[0])
        if found[name] not in known:
            raise MistakeError(
                f"triplane:versions.{setting} = {found[name]} is not one that the lab's mirror can have. "
                f"Write {' or '.join(known)}."
            )
    return found


def install_stand_ins(workspace: Workspace) -> None:
    """Put the stand-ins where the engine keeps downloaded plugins: it uses those without a warning."""
    folder = workspace.pulumi_home / "plugins"
    if folder.is_symlink():
        folder.unlink()
    for program in plugins.install(workspace.directory / "stand-ins", workspace.python):
        place_of_its_own = folder / plugin_folder(program.name.removeprefix("pulumi-resource-"))
        place_of_its_own.mkdir(parents=True, exist_ok=True)
        place(program, place_of_its_own / program.name)


def place(source: Path, target: Path) -> None:
    """Put a program into a folder on PATH, without a copy if possible.

    It is a hard link, not a symbolic one: the engine trusts the language host that is beside its own resolved path.
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


class _Listener:
    """Forwards a build's progress; a build from the cache is not reported."""

    def __init__(self, progress: Progress, report: Report) -> None:
        self._progress = progress
        self._report = report
        self._current = ""

    def __call__(self, step: toolchain.Progress) -> None:
        task = f"{step.program} {step.version}"
        if step.step in {toolchain.Step.NO_RELEASE, toolchain.Step.WRONG_RELEASE}:
            say = self._report.warn if step.step is toolchain.Step.WRONG_RELEASE else self._report.say
            say(str(step))
            return
        if step.step is toolchain.Step.READY:
            self._end()
            return
        self._current = task
        self._progress.update(task, str(step).removeprefix(f"{task}: "))

    def _end(self) -> None:
        if self._current:
            self._progress.done(self._current)
        self._current = ""


def _upstream() -> toolchain.Upstream:
    """Read from the environment whether upstream's releases are used, and their server."""
    try:
        return toolchain.Upstream.from_environment(os.environ)
    except (toolchain.ToolchainError, CatalogError) as error:
        raise MistakeError(str(error)) from error
    except OSError as error:
        raise MistakeError(f"{error.filename}: {error.strerror}") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Preparation:
    """Makes the parts, in the order of their dependencies."""

    workspace: Workspace
    report: Report
    upstream: toolchain.Upstream = field(default_factory=_upstream)

    def engine(self, *, resolving: bool = False) -> Engine:
        """Pulumi and its plugins on a PATH of the launcher, and the passphrase of the state.

        With `resolving`, the lab's names resolve for the engine and its plugins; this needs a running lab.
        """
        workspace = self.workspace
        workspace.prepare()
        official = plugin_choice.settle(workspace, os.environ, official_plugins(os.environ))
        with self._building() as progress:
            self._place_engine(progress)
        if official is None:
            install_stand_ins(workspace)
        else:
            link_plugins(official, workspace.pulumi_home / "plugins")
        make_passphrase(workspace)
        return Engine(
            workspace=workspace,
            report=self.report,
            official_plugins=official is not None,
            wrapper=tuple(operator.command(workspace.lab, [])) if resolving else (),
        )

    def stack(self, engine: Engine, stack: str) -> None:
        """Make the stack's files, the stack itself, and the secrets of a running lab."""
        stacks.ensure(engine, stack, self._machine(), lab_daemon.tokens(self.workspace))

    def everything(self, stack: str) -> None:
        """Provide what an `up` needs on this machine: the engine, the stack's releases, and the hosts' image.

        Compiling uses the CPU, and the image mostly the network, so they are made in parallel.
        """
        settings = stacks.planned(self.workspace, stack, self._machine())
        wanted = releases(settings.get("triplane:versions"))
        # The images' programs: agnhost has the version of the Kubernetes release that it tests.
        wanted |= {"coredns": toolchain.PROGRAMS["coredns"].versions[0], "kubernetes-images": wanted["kubernetes"]}
        slugs = host_images(settings)
        plugins_too = self._announce(wanted)
        with self._building() as progress, ThreadPoolExecutor(max_workers=1) as pool:
            images_made = [pool.submit(self._image, slug, progress) for slug in slugs]
            tools_made = pool.submit(self._tools, progress)
            self._place_engine(progress)
            if plugins_too:
                self._download_plugins(progress)
            builds = {name: self._built(name, version, progress) for name, version in wanted.items()}
            mirror.publish(self.workspace.lab.mirror, [builds[name] for name in RELEASES])
            place(builds["kubernetes"].path("kubectl"), self.workspace.bin / "kubectl")
            for image_made in images_made:
                image_made.result()
            store = oci.Stores.of(self.workspace.lab.mirror).built
            oci.publish(store, kubernetes=builds["kubernetes-images"], dns=builds["coredns"], tools=tools_made.result())

    def kubernetes(self) -> str:
        """Return the version of Kubernetes in the lab's stack."""
        settings = stacks.settings(self.workspace, self.workspace.stack)
        return releases(settings.get("triplane:versions"))["kubernetes"]

    def built(self, program: str, version: str) -> toolchain.Build:
        """Return one program; make it if it is missing."""
        with self._building() as progress:
            return self._built(program, version, progress)

    def _announce(self, wanted: Mapping[str, str]) -> bool:
        """Print the programs to download and to build, as far as the first answers of the release servers show.

        Returns whether the official plugins are to be downloaded too: on a first run, if their server answers.
        """
        mode, cache = self.upstream.mode, self.workspace.lab.cache
        missing: list[tuple[str | toolchain.Program, str | None]] = [
            (name, version) for name, version in wanted.items() if toolchain.cached(name, version, mode=mode) is None
        ]
        if not toolchain.engine_at_hand(mode=mode):
            missing.insert(0, (toolchain.PULUMI_RELEASE, None))
        plugins_too = self._may_download_plugins(first_run=bool(missing))
        toolchain.probe(missing, self.upstream, others=plugin_download.addresses() if plugins_too else ())
        fetched = [one for one in missing if toolchain.may_be_taken(*one, self.upstream)]
        built = [one for one in missing if one not in fetched]
        for verb, programs, time in (
            ("downloading", fetched, "minutes, once"),
            ("building", built, "up to half an hour, once"),
        ):
            names = ", ".join("pulumi" if isinstance(name, toolchain.Program) else name for name, _ in programs)
            if names:
                self.report.say(f"{verb} {names}: {time}; kept in {cache}")
        return plugins_too and not any(self.upstream.refusal(url) for url in plugin_download.addresses())

    def _may_download_plugins(self, *, first_run: bool) -> bool:
        """True if the official plugins are missing, wanted, and would be used: a state keeps its plugins.

        After a first run no server is asked: a machine without a network would wait for it in every `up`.
        """
        asked = self._plugins_forced or (first_run and self.upstream.mode is toolchain.Mode.PROBE)
        return (
            asked
            and bool(plugin_download.missing(pulumi_home(os.environ) / "plugins"))
            and plugin_choice.choose(self.workspace, os.environ, available=True) is plugin_choice.Kind.OFFICIAL
        )

    @property
    def _plugins_forced(self) -> bool:
        return self.upstream.mode is toolchain.Mode.FETCH or os.environ.get(plugin_choice.OFFICIAL) == "1"

    def _download_plugins(self, progress: Progress) -> None:
        """Install the official plugins in the user's own folder; if that fails, the stand-ins are used."""
        task, pulumi = "the official plugins", self.workspace.bin / "pulumi"

        def said(plugin: str, text: str) -> None:
            progress.update(task, f"{plugin}: {text}")

        try:
            plugin_download.install(pulumi, pulumi_home(os.environ), self.upstream, said)
            progress.done(task)
        except LauncherError as error:
            progress.drop(task)
            if self._plugins_forced:
                raise
            self.report.say(f"{error}; the lab's stand-ins are used")

    @contextmanager
    def _building(self) -> Iterator[Progress]:
        progress = self.report.progress()
        try:
            with progress.shown():
                yield progress
        except toolchain.ToolchainError as error:
            raise LauncherError(str(error)) from error
        except KeyboardInterrupt:
            raise InterruptedByUserError(
                "stopped; what has arrived is kept, and the next run goes on from there"
            ) from None

    def _tools(self, progress: Progress) -> Path:
        """Provide the file system of the only container image that has more than a binary."""
        name, folder = "the test image", self.workspace.lab.rootfs_dir
        if not oci.TOOLS.path(folder).is_dir():
            try:
                oci.TOOLS.ensure(folder, lambda line: progress.update(name, line))
            except MachineError as error:
                raise LauncherError(str(error)) from error
            progress.done(name)
        return oci.TOOLS.path(folder)

    def _image(self, slug: str, progress: Progress) -> None:
        name = f"the hosts' image {slug}"
        if rootfs.path(self.workspace.lab.rootfs_dir, slug).is_dir():
            return
        try:
            rootfs.ensure(self.workspace.lab.rootfs_dir, slug, lambda line: progress.update(name, line))
        except MachineError as error:
            raise LauncherError(str(error)) from error
        progress.done(name)

    def _place_engine(self, progress: Progress) -> None:
        """Put the engine into the folder on PATH: the user's own pulumi if it fits, else one of the toolchain."""
        listener = _Listener(progress, self.report)
        for name, path in toolchain.engine(on_progress=listener, upstream=self.upstream).items():
            place(path, self.workspace.bin / name)

    def _built(self, name: str, version: str, progress: Progress) -> toolchain.Build:
        listener = _Listener(progress, self.report)
        return toolchain.build(name, version, on_progress=listener, upstream=self.upstream)

    def _machine(self) -> stacks.Machine:
        catalog = self.workspace.lab.mirror / mirror.CATALOG
        return stacks.Machine(
            api_url=self.workspace.lab.api_url,
            mirror_url=self.workspace.lab.mirror_url,
            digests=mirror.digests(catalog) if catalog.exists() else {},
            images=oci.references(oci.Stores.of(self.workspace.lab.mirror).built),
            ssh_ca_public_key=ca_public_key(self.workspace),
            operator=f"{self.workspace.lab.services}/32",
            zone={"id": cloud.ZONE_ID, "name": cloud.ZONE_NAME},
        )


def link_plugins(official: Path, folder: Path) -> None:
    """Share the user's plugin folder, so that 100 MB are downloaded only once."""
    official.mkdir(parents=True, exist_ok=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    if not folder.exists():
        folder.symlink_to(official)
