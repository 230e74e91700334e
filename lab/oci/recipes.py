"""The images themselves: upstream's names, contents and settings, from the toolchain's binaries."""

from __future__ import annotations

from pathlib import Path

from lab.oci.building import Image, build
from lab.oci.layers import Content, File, Folder, Link, Tree
from lab.oci.store import Store
from lab.oci.userland import Userland
from toolchain import PROGRAMS, Build

PAUSE = "registry.k8s.io/pause"
COREDNS = "registry.k8s.io/coredns/coredns"
AGNHOST = "registry.k8s.io/e2e-test-images/agnhost"

_PAUSE_TAG = "3.10.2"  # build/pause/Makefile, of every Kubernetes version that is pinned

TOOLS = Userland(
    name="agnhost",
    packages=(
        "bash",
        "bind9-dnsutils",
        "coreutils",
        "curl",
        "dash",
        "findutils",
        "grep",
        "hostname",
        "iperf",
        "iproute2",
        "libc-bin",
        "netbase",
        "netcat-openbsd",
        "sed",
        "socat",
        "util-linux",
    ),
)
"""Packages of Alpine in upstream's agnhost."""

# Dependencies of the packages above that no container uses.
DEAD_WEIGHT = (
    r"boot|dev|proc|sys|(var|usr/share/(bash-completion|doc|i18n|info|locale|man|perl)|usr/lib/\S+/(perl|gconv)\S*)/"
)

USERS = """\
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""


def references(store: Store) -> dict[str, str]:
    """Return the images that a stack's settings name and that are in the store: name → reference."""
    tags = {"pause": (PAUSE, _PAUSE_TAG), "coredns": (COREDNS, _coredns_tag(PROGRAMS["coredns"].versions[0]))}
    found = {name: store.reference(repository, tag) for name, (repository, tag) in tags.items()}
    return {name: reference for name, reference in found.items() if reference}


def publish(store: Store, *, kubernetes: Build, dns: Build, tools: Path) -> None:
    """Put all images into the store; `kubernetes` is the build of kubernetes-images, `tools` the root of `TOOLS`."""
    for image in (pause(kubernetes), coredns(dns), agnhost(kubernetes, tools)):
        build(image, store)


def pause(made: Build) -> Image:
    """Return pause, which holds a pod's namespaces: upstream's one C file, run as the user of upstream's image."""
    return Image(
        repository=PAUSE,
        tag=_PAUSE_TAG,
        arch=made.arch,
        layers=((binary(made, "pause"),),),
        entrypoint=("/pause",),
        user="65535:65535",
    )


def coredns(made: Build) -> Image:
    """Return the cluster's DNS server. Like upstream's, it may bind port 53 although it is not root."""
    files: tuple[Content, ...] = (
        Folder(path="etc"),
        File(path="etc/passwd", text=f"{USERS}nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n", mode=0o644),
        File(path="etc/group", text="root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n", mode=0o644),
        Folder(path="tmp", mode=0o1777),
        binary(made, "coredns", binds_low_ports=True),
    )
    return Image(
        repository=COREDNS,
        tag=_coredns_tag(made.version),
        arch=made.arch,
        layers=(files,),
        entrypoint=("/coredns",),
        user="nonroot:nonroot",
    )


def agnhost(made: Build, tools: Path) -> Image:
    """Return agnhost, upstream's program for web servers, clients and checks, with Debian's tools, not Alpine's.

    Its tag is the one that the tests of the build's Kubernetes version ask for.
    """
    files: tuple[Content, ...] = (
        File(
            path="etc/passwd",
            text=f"{USERS}user-defined-in-image:x:1000:1000::/home/user-defined-in-image:/bin/sh\n",
            mode=0o644,
        ),
        File(
            path="etc/group",
            text="root:x:0:\nnogroup:x:65534:\nuser-defined-in-image:x:1000:\n"
            "group-defined-in-image:x:50000:user-defined-in-image\n",
            mode=0o644,
        ),
        Folder(path="uploads"),
        Link(path="bin/nc", target="nc.openbsd"),
        binary(made, "localhost.crt", mode=0o644),
        binary(made, "localhost.key", mode=0o644),
        binary(made, "agnhost"),
        Link(path="agnhost-2", target="agnhost"),
    )
    return Image(
        repository=AGNHOST,
        tag=made.path("VERSION").read_text().strip(),
        arch=made.arch,
        layers=((Tree(source=tools, digest=TOOLS.digest, without=DEAD_WEIGHT),), files),
        entrypoint=("/agnhost",),
        command=("pause",),
    )


def _coredns_tag(version: str) -> str:
    return f"v{version}"


def binary(made: Build, name: str, *, mode: int = 0o755, binds_low_ports: bool = False) -> File:
    """Return a file of a build, at the image's top."""
    return File(path=name, source=made.path(name), digest=made.sha256[name], mode=mode, binds_low_ports=binds_low_ports)
