"""The package archive of the hosts: packages that an image lacks and a host may install. Small, so apt is quick.

A droplet reaches Debian's mirrors on port 80. A lab host reaches this archive there, and the same firewall rules apply.
The packages are Debian's own, fetched when the image is made, from the same sources.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from email.utils import formatdate
from pathlib import Path, PurePosixPath

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from lab.config import LabConfig
from lab.interfaces import MachineError

ADDABLE = ("iptables", "nftables")
"""Packages that can be installed on a host, with their dependencies."""


def folder(image: Path) -> Path:
    """Return the folder of the packages for an image's hosts, which is beside the image."""
    return image.with_name(f"{image.name}.packages")


def source(config: LabConfig, image: Path) -> str:
    """Render the line for apt. It is trusted: the network is the lab's own, and the index has the packages' digests."""
    return f"deb [trusted=yes] http://{config.services}/{image.name}/ ./\n"


def index(packages: Path) -> None:
    """Write the index of a folder of packages, as a flat repository has it (Debian wiki, "Repository format").

    Errors: `MachineError` for a file that is not a package.
    """
    entries = []
    for fetched in sorted(packages.glob("*.deb")):
        # apt writes the epoch into the name of a fetched file, with an escape (%3a) that cannot be in an address.
        file = fetched.rename(fetched.with_name(re.sub(r"_\d+%3a", "_", fetched.name)))
        fields = subprocess.run(["dpkg-deb", "--field", file], capture_output=True, text=True, check=False)
        if fields.returncode != 0:
            raise MachineError(f"{file} is not a package: {fields.stderr.strip()}")
        content = file.read_bytes()
        entries.append(
            f"{fields.stdout.strip()}\nFilename: ./{file.name}\nSize: {len(content)}\n"
            f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
        )
    text = "\n".join(entries)
    (packages / "Packages").write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    release = f"Date: {formatdate(0, usegmt=True)}\nSHA256:\n {digest} {len(text.encode())} Packages\n"
    (packages / "Release").write_text(release)


def app(images: Path) -> Starlette:
    """Serve the packages of every image in a folder of images, and nothing else of it."""

    async def get(request: Request) -> Response:
        # apt asks for IMAGE/./FILE.
        path = PurePosixPath(request.path_params["path"])
        if len(path.parts) != 2 or any(part.startswith(".") for part in path.parts):
            return Response(status_code=404)
        found = folder(images / path.parts[0]) / path.parts[1]
        return FileResponse(found) if found.is_file() else Response(status_code=404)

    return Starlette(routes=[Route("/{path:path}", get)])
