"""A step's script on a host: non-secret files and shell, as one readable text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from model import paths
from model.assets import render
from model.files import HostFile, as_script


def step(template: str, /, *, files: Iterable[HostFile] = (), **values: object) -> str:
    """A step's script, with its files written out in it."""
    return render(
        f"steps/{template}.sh.j2", library=paths.STEP_LIBRARY, files="\n".join(map(as_script, files)), **values
    )


def unit(template: str, unit_name: str, /, **values: object) -> HostFile:
    """A systemd unit, hardened."""
    text = render(f"units/{template}.service.j2", hardening=render("units/hardening.j2"), **values)
    return HostFile(path=paths.unit(unit_name), content=text)


def control_plane_unit(
    name: str,
    /,
    *,
    description: str,
    installed: str,
    arguments: Iterable[str],
    type: Literal["exec", "notify"] = "exec",  # noqa: A002 - systemd's own word
    environment_files: Iterable[str] = (),
    stop_seconds: int | None = None,
    logs: str | None = None,
    capabilities: str = "",
) -> HostFile:
    """Unit of a part of the control plane; `logs` is a directory under /var/log, `stop_seconds` systemd's default."""
    return unit(
        "control-plane",
        name,
        name=name,
        description=description,
        type=type,
        environment_files=environment_files,
        installed=installed,
        arguments=arguments,
        stop_seconds=stop_seconds,
        logs=logs,
        capabilities=capabilities,
    )
