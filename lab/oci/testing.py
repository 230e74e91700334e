"""The images that upstream's own tests run in, as far as they can be made from its source and Debian's packages.

Programs that upstream takes from Alpine or from other projects' images (busybox, nginx, dig) come from Debian here, in
other versions.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from lab.oci import recipes
from lab.oci.building import Image, build
from lab.oci.layers import Content, File, Folder, Link, Tree
from lab.oci.store import Store
from lab.oci.userland import Userland
from toolchain import Build

_REGISTRY = "registry.k8s.io/e2e-test-images"
# the release that has the version which upstream's tag names
BUSYBOX = Userland(name="busybox", packages=("busybox-static",), release="trixie")
NGINX = Userland(name="nginx", packages=("libc6", "nginx-light"))

_NGINX_CONFIGURATION = """\
daemon off;
error_log /dev/stderr;
pid /run/nginx.pid;
events {}
http {
    include /etc/nginx/mime.types;
    access_log /dev/stdout;
    server {
        listen 80;
        root /usr/share/nginx/html;
    }
}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Workshop:
    """Source of the images."""

    folder: Path
    """Directory of unpacked Debian packages."""
    say: Callable[[str], None]
    programs: Build
    """Build of kubernetes-images."""
    tests: Build
    """Build of kubernetes-e2e."""

    def publish(self, store: Store, wanted: Iterable[str]) -> set[str]:
        """Put those of the wanted references into the store that can be made, and return them."""
        makers: dict[str, Callable[[], Image]] = {
            f"{_REGISTRY}/agnhost": self._agnhost,
            f"{_REGISTRY}/busybox": self._busybox,
            f"{_REGISTRY}/glibc-dns-testing": self._tools,
            f"{_REGISTRY}/kitten": self._kitten,
            f"{_REGISTRY}/nginx": self._nginx,
            f"{_REGISTRY}/nonewprivs": self._no_new_privileges,
            f"{_REGISTRY}/nonroot": self._non_root,
            recipes.PAUSE: lambda: recipes.pause(self.programs),
        }
        made = set()
        for reference in sorted(wanted):
            repository, _, tag = reference.rpartition(":")
            if repository in makers:
                self.say(reference)
                build(replace(makers[repository](), repository=repository, tag=tag), store)
                made.add(reference)
        return made

    def _agnhost(self) -> Image:
        """Return the same image for every version; the tests need two names, not two programs."""
        return recipes.agnhost(self.programs, recipes.TOOLS.ensure(self.folder, self.say))

    def _tools(self) -> Image:
        agnhost = self._agnhost()
        return replace(agnhost, layers=agnhost.layers[:1], entrypoint=(), command=("bash",))

    def _kitten(self) -> Image:
        agnhost = self._agnhost()
        cats = tuple(recipes.binary(self.tests, name, mode=0o644) for name in ("data.json", "kitten.jpg"))
        return replace(agnhost, layers=(*agnhost.layers, cats), command=("test-webserver",))

    def _busybox(self, extra: tuple[Content, ...] = (), user: str = "", command: str = "sh") -> Image:
        root = BUSYBOX.ensure(self.folder, self.say)
        program = root / "usr/bin/busybox"
        listed = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
        files: tuple[Content, ...] = (
            Folder(path="bin"),
            File(path="bin/busybox", source=program, digest=BUSYBOX.digest),
            *(Link(path=f"bin/{name}", target="busybox") for name in listed if name != "busybox"),
            Folder(path="etc"),
            File(path="etc/passwd", text=recipes.USERS, mode=0o644),
            File(path="etc/group", text="root:x:0:\nnogroup:x:65534:\n", mode=0o644),
            Folder(path="tmp", mode=0o1777),
            *(Folder(path=path) for path in ("home", "root", "usr", "usr/local", "usr/local/bin", "var")),
            *extra,
        )
        arch = self.programs.arch
        return Image(repository="", tag="", arch=arch, layers=(files,), entrypoint=(), command=(command,), user=user)

    def _non_root(self) -> Image:
        return self._busybox(user="1234")

    def _no_new_privileges(self) -> Image:
        """A program that prints its user id, and would run as root if it were allowed to."""
        program = replace(recipes.binary(self.tests, "nnp", mode=0o6755), path="usr/local/bin/nnp")
        return self._busybox(extra=(program,), command="nnp")

    def _nginx(self) -> Image:
        root = NGINX.ensure(self.folder, self.say)
        files: tuple[Content, ...] = (
            File(path="etc/passwd", text=recipes.USERS, mode=0o644),
            File(path="etc/group", text="root:x:0:\nnogroup:x:65534:\n", mode=0o644),
            File(path="etc/nginx/nginx.conf", text=_NGINX_CONFIGURATION, mode=0o644),
            *(Folder(path=path) for path in ("run", "var/lib", "var/lib/nginx", "var/log", "var/log/nginx")),
        )
        return Image(
            repository="",
            tag="",
            arch=self.programs.arch,
            layers=((Tree(source=root, digest=NGINX.digest, without=recipes.DEAD_WEIGHT),), files),
            entrypoint=(),
            command=("nginx",),
        )
