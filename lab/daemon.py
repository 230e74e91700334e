"""The lab's daemon: the APIs, the mirror, the name server and the metadata service, in one process."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp

from lab import cloud, faults, instances, mirror
from lab.config import API_PORT, DNS_PORT, MIRROR_PORT, PACKAGES_PORT, LabConfig
from lab.hosts import cleanup, commands, inotify, metadata, name_server, network, operator, packages, requirements
from lab.hosts.nspawn import LocalMachines
from lab.interfaces import Machine, MachineError, Power
from lab.signals import asked_to_stop

_log = logging.getLogger("lab")

Say = Callable[[str], None]
_STARTUP_SECONDS = 30


def serve(config: LabConfig, say: Say, ready: Callable[[], None]) -> None:
    """Run the lab until SIGTERM or SIGINT; its hosts go on running, and the next `serve` adopts them.

    Errors: `instances.LabError` and `MachineError`, before anything listens.
    """
    wait = asked_to_stop()
    with instances.as_daemon(config), running(config, say):
        ready()
        wait()
        _log.info("asked to stop")


@contextmanager
def running(config: LabConfig, say: Say) -> Iterator[None]:
    """Run all of the daemon's services while inside."""
    os.umask(0o022)
    config.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_broken_switches(config)
    requirements.check(config)
    registries = mirror.Registries.from_environment(os.environ)
    before = instances.read(config.name)
    if before is not None and before.directory != str(config.directory):
        say(f"clearing what a lab of this name left behind (it ran from {before.directory})")
        cleanup.clear(config)
    instances.write(config)
    inotify.ensure()
    network.Network(config).up()
    operator.prepare(config)
    machines = LocalMachines(config)
    account = cloud.build(config.directory, machines, _public(config))
    try:
        machines.set_firewalls(account.resolved_firewalls())
        adopt(machines, account.machines_wanted(), say)
        resolver = name_server.Resolver(
            account.records,
            lambda: name_server.machine_resolvers(config.services),
            lambda: account.backend.switches.now().nxdomain_seconds,
        )
        with ExitStack() as services:
            api, releases, archive, names = (
                _listen(config, port, what)
                for port, what in (
                    (API_PORT, "the API"),
                    (MIRROR_PORT, "the mirror"),
                    (PACKAGES_PORT, "the package archive"),
                    (DNS_PORT, "the name server"),
                )
            )
            names.close()
            inner = network.listener(config.router_namespace, network.METADATA, 80)
            services.enter_context(name_server.NameServer(resolver, config.services, DNS_PORT, account.records.version))
            services.enter_context(WebServer(metadata.app(config, machines.known), inner, "metadata"))
            services.enter_context(WebServer(mirror.app(config.mirror, registries), releases, "mirror"))
            services.enter_context(WebServer(packages.app(config.rootfs_dir), archive, "package archive"))
            services.enter_context(WebServer(account.app, api, "API"))
            _log.info("lab %s serves on %s (pid %d)", config.name, config.services, os.getpid())
            yield
    finally:
        account.close()


def _refuse_broken_switches(config: LabConfig) -> None:
    try:
        faults.load(config.directory / faults.FILE)
    except faults.FaultsError as error:
        raise instances.LabError(f"{error}; set it right, or clear all with ./triplane lab faults clear") from error


def adopt(machines: LocalMachines, wanted: list[tuple[Machine, Power]], say: Say) -> None:
    """Bring the hosts to the state in the account, whatever happened to them and to the last daemon."""
    ids = {machine.id for machine, _power in wanted}
    for stray in sorted({*machines.traces()} - ids):
        say(f"clearing what is left of host {stray}")
        machines.destroy(stray)

    def bring(machine: Machine, power: Power) -> None:
        try:
            if power is Power.OFF:
                if machines.power(machine.id) is Power.ON:
                    machines.power_off(machine.id)
            else:
                if machines.power(machine.id) is Power.OFF:
                    say(f"booting {machine.name} again")
                machines.restore(machine)
        except MachineError as error:
            # A host that does not boot counts as off; the lab's status shows it.
            _log.error("%s", error)

    with ThreadPoolExecutor(max_workers=4) as workers:
        list(workers.map(lambda pair: bring(*pair), wanted))


class WebServer:
    """Context manager that serves one ASGI application on one socket, in a thread of its own."""

    def __init__(self, app: ASGIApp, listening: socket.socket, name: str) -> None:
        self._socket = listening
        self._name = name
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=3,
                timeout_keep_alive=30,
                lifespan="auto",
            )
        )
        self._thread = threading.Thread(target=self._server.run, args=([listening],), name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + _STARTUP_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise instances.LabError(f"the {self._name} service did not come up; its log says why")
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(10)


def _public(config: LabConfig) -> cloud.PublicNetwork:
    return cloud.PublicNetwork(block=config.block, gateway=config.router, first=config.first_droplet)


def _listen(config: LabConfig, port: int, what: str) -> socket.socket:
    try:
        return socket.create_server((str(config.services), port), backlog=256)
    except OSError as error:
        owner = commands.run("looking for the port's owner", "ss", "-Hlntup", f"sport = :{port}").strip()
        raise instances.LabError(
            f"{what} cannot listen on {config.services}:{port}: {error.strerror}. "
            f"The port is taken by: {' / '.join(owner.splitlines()) or 'nobody to be seen'}. "
            "End that, or start the lab with another block (--block)"
        ) from error
