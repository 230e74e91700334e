"""A service on a host: its binaries, its files, its health check, and the step that runs it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from model import paths
from model.files import HostFile
from model.secrets import SecretFile
from model.steps import step


@dataclass(frozen=True, kw_only=True, slots=True)
class Binaries:
    """Release files that a service needs on its host."""

    component: str
    """Name in the catalog, and of its directory on a host."""
    file: str
    """Name in the catalog, of a program or an archive of programs."""
    step: str
    """Name of the step that installs it, without `install-`."""
    links: tuple[str, ...] = ()
    """Programs that an operator finds on PATH."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """Health check on the service's own host, for the gate of its step and for `./triplane status`."""

    url: str = ""
    """URL of an endpoint that answers 200."""
    command: str = ""
    """Shell command that succeeds, if there is no such endpoint; `$directory` has the service's programs."""
    ca: str = ""
    """File with the authority of its certificate; empty for plain HTTP, and for a self-signed certificate that a
    service makes at each start: the request does not leave the host."""

    @property
    def trust(self) -> str:
        """Option that tells curl which authority to trust."""
        if self.url.startswith("http:"):
            return ""
        return f"--cacert {self.ca}" if self.ca else "--insecure"

    @property
    def check(self) -> str:
        """Shell that succeeds while the service is healthy."""
        ask = f"curl --fail --silent --max-time 5 --output /dev/null {self.trust} {self.url}"
        return self.command or " ".join(ask.split())


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """One service on one host."""

    name: str
    binaries: tuple[Binaries, ...]
    secrets: tuple[SecretFile, ...] = ()
    script: str


def define(
    template: str,
    /,
    *,
    name: str,
    binaries: Iterable[Binaries],
    files: Iterable[HostFile] = (),
    settled: Iterable[HostFile] = (),
    environment: Iterable[str] = (),
    secrets: Iterable[SecretFile] = (),
    **values: object,
) -> Service:
    """Make a service from a template under assets/steps.

    A change of `files`, of secret files, or of `environment` (files that another step writes) restarts it. A change of
    `settled` does not.
    """
    files, sent = tuple(files), tuple(secrets)
    watched = (*(file.path for file in files), *environment, *(file.path for file in sent if file.restarts))
    script = step(template, name=name, files=(*settled, *files), depends_on=" ".join(watched), **values)
    return Service(name=name, binaries=tuple(binaries), secrets=sent, script=script)


HOST_ENVIRONMENT = (paths.HOST_ENVIRONMENT,)
"""The environment file that the host step writes."""
