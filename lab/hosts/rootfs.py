"""The root file system that all hosts of one image share, made once from Debian's packages and cached."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lab.hosts import commands, packages
from lab.hosts.commands import missing, remedy
from lab.hosts.variants import VARIANTS
from lab.interfaces import MachineError
from toolchain.locks import locked

RELEASES = {"debian-12-x64": "bookworm", "debian-13-x64": "trixie"}
"""The images that are Debian's, and the release behind each."""

IMAGES = (*RELEASES, *VARIANTS)
"""The slugs of all images that the lab can boot."""

PACKAGES = (
    "ca-certificates",
    "cloud-init",
    "curl",
    "dbus",
    "ifupdown",
    "iproute2",
    "iputils-ping",
    "kmod",
    "less",
    "netbase",
    "openssh-server",
    "openssl",
    "procps",
    "sudo",
    "systemd",
    "systemd-sysv",
    "xz-utils",
)
"""Packages of Debian's cloud image that a host needs; docs/lab-hosts.md says what is left out, and why."""

# Manuals and translations are not needed on hosts, and are half of the unpacking.
_EXCLUDED = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*")
_NEEDED_BYTES = 2 << 30
# mmdebstrap runs these outside the new root, while the root still has its package sources.
_FETCH_ADDABLE = (
    'rm -f "$1"/var/cache/apt/archives/*.deb && '
    'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get --yes --download-only --no-install-recommends '
    f'install {" ".join(packages.ADDABLE)} && mv "$1"/var/cache/apt/archives/*.deb "$ADDABLE"'
)

Progress = Callable[[str], None]


def path(images: Path, slug: str) -> Path:
    """Return the path of an image: its name has a digest of the recipe, so a new recipe is a new image."""
    if variant := VARIANTS.get(slug):
        recipe = json.dumps([path(images, variant.base).name, dataclasses.asdict(variant)])
    else:
        recipe = json.dumps([RELEASES[slug], PACKAGES, packages.ADDABLE, _EXCLUDED, platform.machine()])
    return images / f"{slug}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def ensure(images: Path, slug: str, progress: Progress | None = None) -> Path:
    """Return the image's root, making it first if it is not there: minutes the first time, nothing after that.

    A variant has its base made too.

    Errors: `MachineError` for an unknown slug, a missing program, too little room, or a failed download of packages.
    """
    if slug not in IMAGES:
        raise MachineError(f"image {slug!r} is not one that the lab can boot: use one of {', '.join(sorted(IMAGES))}")
    target = path(images, slug)
    if target.is_dir():
        return target
    say = progress or (lambda _line: None)
    try:
        images.mkdir(parents=True, exist_ok=True)
        waiting = "another process is making this host image: waiting for it"
        with locked(images / f"{target.name}.lock", lambda: say(waiting)):
            if not target.is_dir():
                _build(target, slug, say)
    except OSError as error:
        raise MachineError(f"making image {slug} in {images}: {error.strerror} ({error.filename})") from error
    return target


def _check(images: Path) -> None:
    for program in missing(["mmdebstrap", "unshare"]):
        raise MachineError(f"making the host image: {program!r} is not installed; {remedy(program)}")
    free = shutil.disk_usage(images).free
    if free < _NEEDED_BYTES:
        raise MachineError(
            f"making the host image takes {_NEEDED_BYTES >> 30} GiB in {images}, "
            f"and {free / 2**30:.1f} are free: make room, or set TRIPLANE_CACHE to a folder with more"
        )


def _build(target: Path, slug: str, say: Progress) -> None:
    _check(target.parent)
    variant = VARIANTS.get(slug)
    release = RELEASES[variant.base if variant else slug]
    if variant:
        base = ensure(target.parent, variant.base, say)
        content = [
            *("--variant=custom", f'--setup-hook=cp --archive {shlex.quote(str(base))}/. "$1"'),
            f"--include={','.join(variant.packages)}",
        ]
        made_of = f"{variant.base}: half a minute"
    else:
        content = ["--variant=minbase", f"--include={','.join(PACKAGES)}"]
        made_of = f"Debian's packages ({release}): about two minutes"
    # Mounts of a build are in a namespace of its own and end with it: an earlier build left only files.
    unfinished = target.with_name(f".{target.name}.unfinished")
    addable = packages.folder(unfinished)
    for tree in (unfinished, addable):
        _remove(tree)
    addable.mkdir()
    log = target.with_suffix(".log")
    started = time.monotonic()
    command = [
        *("unshare", "--mount", "--propagation", "private"),
        *("mmdebstrap", "--mode=root", "--format=directory", "--dpkgopt=force-unsafe-io"),
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _EXCLUDED),
        *(f"--aptopt={option}" for option in apt_options()),
        *content,
        f"--customize-hook={_FETCH_ADDABLE}",
        *(release, str(unfinished), *sources(release)),
    ]
    environment = {
        "PATH": commands.environment()["PATH"],
        "LC_ALL": "C",
        "DEBIAN_FRONTEND": "noninteractive",
        "ADDABLE": str(addable),
    }
    say(f"making the image {slug} from {made_of}, once; log: {log}")
    with (
        log.open("w") as lines,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            lines.write(line)
            if line.startswith("I: "):
                say(f"[{time.monotonic() - started:3.0f} s] host image: {line[3:].strip()}")
    if process.returncode != 0:
        told = log.read_text(errors="replace").splitlines()
        for tree in (unfinished, addable):
            _remove(tree)
        raise MachineError(_explain(told, log))
    packages.index(addable)
    if variant:
        variant.dress(unfinished)
    # Ids and keys that must differ from host to host are made by each host.
    (unfinished / "etc/machine-id").write_text("")
    for key in (unfinished / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    os.sync()  # after a crash, the final name must not have an image of empty files
    _remove(packages.folder(target))
    addable.rename(packages.folder(target))
    unfinished.rename(target)
    say(f"[{time.monotonic() - started:3.0f} s] host image is ready: {target}")


def _explain(told: list[str], log: Path) -> str:
    if any("No space left on device" in line for line in told):
        return f"making the host image: no space left in {log.parent}: make room, or set TRIPLANE_CACHE elsewhere"
    errors = [line for line in told if line.startswith("E: ")][:2] or told[-2:]
    return (
        f"making the host image failed: {' / '.join(errors)} (all of it: {log}). "
        "Are Debian's packages reachable (`apt-get update`)? What was half made has been removed; run it again."
    )


def _remove(tree: Path) -> None:
    if tree.exists():
        shutil.rmtree(tree)


def sources(release: str) -> list[str]:
    """List this machine's package sources for the release; none on other distributions, where mmdebstrap has a default.

    A Debian machine that uses another release has the same mirrors for this one.
    """
    found = _sources_here()
    return _of_release(found, release, release) or _of_release(found, _release_here(), release)


def _of_release(found: list[tuple[str, str]], origin: str, release: str) -> list[str]:
    """Select the origin's suites from (URI, suite) pairs, renamed to the release's; none if the main one is missing."""
    suites = {f"{origin}{kind}": f"{release}{kind}" for kind in ("", "-updates", "-security")}
    lines = [f"deb {uri} {suites[suite]} main" for uri, suite in found if suite in suites]
    return lines if any(suite == origin for _uri, suite in found) else []


def _release_here() -> str:
    """Name the Debian release of this machine; empty on any other distribution, whose mirrors have no Debian."""
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        return ""
    return system.get("VERSION_CODENAME", "") if system["ID"] == "debian" else ""


def _sources_here() -> list[tuple[str, str]]:
    """List this machine's own package sources, component main: (URI, suite)."""
    listing = subprocess.run(
        [
            "apt-get",
            "indextargets",
            "--format",
            "$(TARGET_OF)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)",
            "Identifier: Packages",
        ],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    entries = [line.split("|") for line in listing.splitlines()]
    return [(uri, suite) for kind, uri, suite, component in entries if (kind, component) == ("deb", "main")]


def apt_options() -> list[str]:
    """Return apt's options on this machine for its package sources (proxies, frozen snapshots)."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    wanted = ("Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::https::CaInfo", "Acquire::Check-")
    return [line.rstrip(";") for line in dump.splitlines() if line.startswith(wanted) and not line.endswith('"";')]


if __name__ == "__main__":
    from toolchain.build_cache import cache_directory

    try:
        for slug in sys.argv[1:] or IMAGES:
            ensure(cache_directory() / "images", slug, lambda line: print(line, flush=True))
    except MachineError as failure:
        sys.exit(f"error: {failure}")
