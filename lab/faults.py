"""The lab's switches: they make its cloud slow or make it fail, as DigitalOcean does on some days.

They are in `faults.yaml` in the lab's directory, which is read again when it changes, so a running lab follows
at once. `./triplane lab faults` shows and sets them, docs/lab-faults.md lists them.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

FILE = "faults.yaml"
_log = logging.getLogger(__name__)

Seconds = Annotated[float, Field(ge=0, le=3600)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]


class FaultsError(ValueError):
    """A switch that does not exist, or a value that it does not take; the message names both."""


def _switch(default: object, lab: str, real: str) -> Any:  # noqa: ANN401 - as pydantic's own Field
    return Field(default=default, description=lab, json_schema_extra={"real": real})


class Faults(BaseModel):
    """Every switch, its type, and its default: the ordinary lab."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sold_out: tuple[str, ...] = _switch(
        (),
        "sizes (`s-2vcpu-4gb`, or `fra1/s-2vcpu-4gb` for one region) that no new droplet and no resize gets, although "
        "the lists of sizes and regions still offer them: 422",
        '"Size is not available in this region.", also where the lists say otherwise (inlets/inlets-operator#111)',
    )
    fresh_regions: tuple[str, ...] = _switch(
        (),
        "regions that this account never used (`all` for every one): they have no default VPC, so the first VPC made "
        "there becomes the default and cannot be deleted: 403",
        "the first VPC of a region becomes its default (digitalocean/godo#337); a default VPC cannot be deleted "
        "(API reference, Delete a VPC)",
    )
    droplet_limit: Count = _switch(
        25,
        "droplets that the account may have at a time; one too many is refused with 422",
        "a limit per account, 10 or fewer for new ones; told by `GET /v2/account`",
    )
    droplet_deletion_seconds: Seconds = _switch(
        0.0,
        "seconds that a deleted droplet is still there: its DELETE is answered at once, and the host goes later",
        "usually seconds, at times more than the plugin's 60 (terraform-provider-digitalocean#1586)",
    )
    vpc_members_seconds: Seconds = _switch(
        0.0,
        "seconds that a VPC still counts a droplet that is gone: deleting the VPC is refused with 409 until then",
        "members leave a VPC some time after they are deleted (terraform-provider-digitalocean#446, #488)",
    )
    boot_seconds: Seconds = _switch(
        0.0,
        "seconds from power-on, when the droplet is `active`, to the start of its operating system; counts from the "
        "next boot on, a reboot and the power-on after a resize included",
        "20 to 60 s from `active` to the first answer of sshd",
    )
    firewall_seconds: Seconds = _switch(
        1.0,
        "seconds until a changed firewall or tag is in force; until then the droplet is under its old rules (a new one "
        "is open), and the firewall is `waiting` with `pending_changes`",
        "changes are pending for some seconds (API reference, Firewalls: `status`, `pending_changes`)",
    )
    nxdomain_seconds: Seconds = _switch(
        0.0,
        "seconds for which the resolver of the droplets remembers that a name does not exist",
        "resolvers keep the absence of a name as long as the zone's SOA says, up to 1800 s for Cloudflare's zones "
        "(RFC 2308); 300 is usual",
    )
    record_seconds: Seconds = _switch(
        0.0,
        "seconds until a new DNS record is answered by the name server",
        "Cloudflare serves a new record a few seconds after the API took it",
    )
    calls_an_hour: Count = _switch(
        5000,
        "DigitalOcean calls per token in any hour; 429 beyond",
        "5000 (API reference, Rate limit)",
    )
    calls_a_minute: Count = _switch(
        250,
        "DigitalOcean calls per token in any minute; 429 beyond",
        "250 (API reference, Rate limit)",
    )
    throttled_every: Count = _switch(
        0,
        "after so many calls of a token, both APIs refuse the next `throttled_calls` with 429; 0 for never",
        "429 in bursts, whatever the headers say is left (terraform-provider-digitalocean#546)",
    )
    throttled_calls: Count = _switch(
        3,
        "calls that are refused in a row, where `throttled_every` is set",
        "the official plugin tries a call four more times, with growing pauses",
    )

    def is_fresh(self, region: str) -> bool:
        """Say whether the account has never used a region."""
        return bool({region, "all"} & {*self.fresh_regions})

    def is_sold_out(self, region: str, size: str) -> bool:
        """Say whether a size is sold out in a region."""
        return bool({size, f"{region}/{size}"} & {*self.sold_out})


class Switches:
    """The switches as they are now: those of a file that is read again when it changes.

    If the file is not valid, the last valid switches stay in force; `problem` says what is wrong with the file.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._faults = Faults()
        self.problem = ""

    def now(self) -> Faults:
        """Return the switches in force."""
        with self._lock:
            seen = _signature(self._path)
            if seen != self._seen:
                self._seen = seen
                try:
                    self._faults = load(self._path)
                    self.problem = ""
                except FaultsError as error:
                    self.problem = str(error)
                    _log.error("the switches stay as they are: %s", error)
            return self._faults


def load(path: Path) -> Faults:
    """Read a file of switches; all defaults where there is none. Errors: FaultsError."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return Faults()
    try:
        return parse(yaml.safe_load(text) or {})
    except (yaml.YAMLError, FaultsError) as error:
        raise FaultsError(f"{path}: {error}") from error


def parse(values: object) -> Faults:
    """Check switches by name. Errors: FaultsError, with every mistake in one message."""
    try:
        return Faults.model_validate(values)
    except ValidationError as error:
        raise FaultsError("; ".join(_mistake(problem) for problem in error.errors())) from error


def _mistake(problem: Any) -> str:  # noqa: ANN401 - pydantic's own dictionary
    name = str(problem["loc"][0]) if problem["loc"] else "the file"
    if problem["type"] == "extra_forbidden":
        return f"there is no switch {name}: one of {', '.join(Faults.model_fields)}"
    return f"{name}: {problem['msg']}, not {problem['input']!r}"


def change(directory: Path, assignments: Sequence[str]) -> Faults:
    """Set switches from `NAME=VALUE` texts, lists with commas, and write the file. Errors: FaultsError."""
    path = directory / FILE
    values = load(path).model_dump(mode="json", exclude_defaults=True)
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals:
            raise FaultsError(f"{text}: write NAME=VALUE, for example boot_seconds=45")
        values[name] = _value(name, value)
    faults = parse(values)
    _write(path, faults)
    return faults


def clear(directory: Path, names: Sequence[str]) -> Faults:
    """Put switches back to their defaults: those named, or all. Errors: FaultsError."""
    path = directory / FILE
    if not names:
        path.unlink(missing_ok=True)
        return Faults()
    unknown = {name: None for name in names if name not in Faults.model_fields}
    if unknown:
        parse(unknown)
    values = load(path).model_dump(mode="json", exclude_defaults=True)
    faults = parse({name: value for name, value in values.items() if name not in names})
    _write(path, faults)
    return faults


def _value(name: str, text: str) -> object:
    field = Faults.model_fields.get(name)
    if field is not None and isinstance(field.default, tuple):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _write(path: Path, faults: Faults) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.draft")
    # The file gets its name only when it is complete: the daemon may read it at any moment.
    draft.write_text(yaml.safe_dump(faults.model_dump(mode="json", exclude_defaults=True), sort_keys=False))
    draft.replace(path)


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def table() -> str:
    """Render the switches as the table of docs/lab-faults.md."""
    lines = ["| switch | default | the lab | DigitalOcean |", "|---|---|---|---|"]
    for name, field in Faults.model_fields.items():
        lines.append(f"| `{name}` | {shown(field.default)} | {field.description} | {_real(field)} |")
    return "\n".join(lines) + "\n"


def shown(value: object) -> str:
    """Write a switch's value as a person reads it."""
    if isinstance(value, tuple):
        return ",".join(value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _real(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    assert isinstance(extra, Mapping)
    return str(extra["real"])
