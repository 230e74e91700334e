"""Stand-ins for the four official provider plugins, for machines that cannot download those.

For the program's resource types, they make the same calls as the official plugins; a type or property that
they do not know is an error. Where the official plugins are installed, the engine uses those and not these.
"""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Final

PLUGINS: Final = ("digitalocean", "cloudflare", "tls", "command")


def install(bin_dir: Path, python: Path) -> list[Path]:
    """Write the plugins' executables into a folder that will be on the engine's PATH.

    Each one starts `python`, which must have the Pulumi SDK and this lab's requirements. Existing files of
    the same content are left alone.
    """
    bin_dir.mkdir(parents=True, exist_ok=True)
    main = Path(__file__).resolve().with_name("__main__.py")
    paths = []
    for name in PLUGINS:
        path = bin_dir / f"pulumi-resource-{name}"
        # -I: the caller's PYTHON* variables and its working directory do not change the imports
        text = f'#!/bin/sh\nexec {quote(str(python))} -I {quote(str(main))} {name} "$@"\n'
        if not path.is_file() or path.read_text() != text:
            path.unlink(missing_ok=True)  # it may be a link to another program's file
            path.write_text(text)
        path.chmod(0o755)
        paths.append(path)
    return paths
