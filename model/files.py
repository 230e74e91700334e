"""Files on a host, and the script text that writes them."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

END_OF_FILE = "TRIPLANE_END_OF_FILE"


@dataclass(frozen=True, kw_only=True, slots=True)
class HostFile:
    """A file by its content, owner (`user:group`) and mode (octal digits)."""

    path: str
    content: str
    owner: str = "root:root"
    mode: str = "600"

    def __post_init__(self) -> None:
        if not self.content.endswith("\n"):
            msg = f"{self.path}: a text file ends with a newline"
            raise ValueError(msg)
        if END_OF_FILE in self.content:
            msg = f"{self.path}: holds the mark that ends it"
            raise ValueError(msg)


def as_script(file: HostFile) -> str:
    """Shell text that writes a non-secret file; it is readable, so that a preview shows the line that changed."""
    return f"put {file.path} {file.owner} {file.mode} <<'{END_OF_FILE}'\n{file.content}{END_OF_FILE}\n"


def as_stdin(files: tuple[HostFile, ...]) -> str:
    """Secret files for a step's stdin: one line per file, `path owner mode base64`."""
    return "".join(f"{f.path} {f.owner} {f.mode} {b64encode(f.content.encode()).decode()}\n" for f in files)
