"""Starting, stopping and asking a lab from outside its daemon."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import instances
from lab.config import API_PORT, DNS_PORT, MIRROR_PORT, LabConfig
from lab.hosts import cleanup, inotify, requirements
from lab.hosts.cgroups import Group
from lab.hosts.network import Network, namespace_lives
from lab.hosts.nspawn import LocalMachines
from lab.interfaces import Power

Say = Callable[[str], None]

_START_SECONDS = 120
_STOP_SECONDS = 20
_LOG_BYTES = 10_000_000


def start(config: LabConfig, say: Say) -> None:
    """Start the lab detached and return once everything answers; do nothing if it already runs.

    Errors: `instances.LabError` and `MachineError`, with what the daemon said.
    """
    with instances.changing(config, say):
        other = instances.daemon(config.name)
        if other is not None:
            if other.directory != str(config.directory):
                raise instances.LabError(instances.running_elsewhere(config, other))
            _wait_for_answers(config)
            say(f"lab {config.name} is running already (pid {other.pid}): {config.api_url}")
            return
        config.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        requirements.check(config)
        say(f"starting lab {config.name} on {config.services}")
        _spawn(config, say)
        say(f"lab {config.name} is up: {config.api_url}")


def _spawn(config: LabConfig, say: Say) -> None:
    if config.log.exists() and config.log.stat().st_size > _LOG_BYTES:
        config.log.rename(config.log.with_suffix(".log.1"))
    reading, writing = os.pipe()
    argv = [sys.executable, "-m", "lab", *arguments(config), "serve", "--report-to", str(writing)]
    with config.log.open("a") as log:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(writing,),
            cwd=Path(__file__).parent.parent,
            env={**os.environ, "TRIPLANE_CACHE": str(config.cache)},
        )
    os.close(writing)
    too_long = threading.Timer(_START_SECONDS, process.kill)
    too_long.start()
    try:
        with os.fdopen(reading) as reports:
            for line in reports:
                kind, _, text = line.rstrip("\n").partition(" ")
                if kind == "say":
                    say(text)
                elif kind == "ready":
                    return
                elif kind == "error":
                    process.wait(_STOP_SECONDS)
                    raise instances.LabError(text)
    finally:
        too_long.cancel()
    # It ended without a message.
    tail = " / ".join(config.log.read_text(errors="replace").splitlines()[-3:])
    raise instances.LabError(f"the lab's daemon ended while starting: {tail} (log: {config.log})")


def _wait_for_answers(config: LabConfig) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not all(_answers(config, port) for port in (API_PORT, MIRROR_PORT, DNS_PORT)):
        if time.monotonic() > deadline:
            raise instances.LabError(f"lab {config.name} runs, but does not answer; see {config.log}, or `stop` it")
        time.sleep(0.1)


def arguments(config: LabConfig) -> list[str]:
    """Return the arguments of `python -m lab` that choose this lab."""
    return ["--directory", str(config.directory), "--name", config.name, "--block", str(config.block)]


def stop(config: LabConfig, say: Say, *, purge: bool = False) -> None:
    """Stop daemon, hosts and network; disks and account stay for the next start, unless `purge`."""
    with instances.changing(config, say):
        other = instances.daemon(config.name)
        if other is not None:
            if other.directory != str(config.directory):
                raise instances.LabError(instances.running_elsewhere(config, other))
            say(f"stopping lab {config.name} (pid {other.pid})")
            _end(other)
        with instances.as_daemon(config):
            if not purge:  # a disk that is removed next needs no clean shutdown
                _shut_down_hosts(config, say)
            cleanup.clear(config)
            if purge and config.directory.exists():
                say(f"removing {config.directory}")
                shutil.rmtree(config.directory)
            inotify.put_back(config.name)
            instances.forget(config.name)
    say(f"lab {config.name} is stopped" + ("; nothing of it is left" if purge else ""))


def _end(record: instances.Record) -> None:
    # Only the daemon holds the lock, and it wrote this pid after it took it.
    os.kill(record.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while instances.daemon(record.name) is not None:
        if time.monotonic() > deadline:
            os.kill(record.pid, signal.SIGKILL)
            deadline += _STOP_SECONDS
        time.sleep(0.05)


def _shut_down_hosts(config: LabConfig, say: Say) -> None:
    before = instances.read(config.name)
    if before is not None and before.directory != str(config.directory):
        return
    machines = LocalMachines(config)
    running = [machine for machine in machines.known() if machines.power(machine.id) is Power.ON]
    if running:
        say(f"shutting down {len(running)} hosts")
        with ThreadPoolExecutor(max_workers=len(running)) as workers:
            list(workers.map(lambda machine: machines.shutdown(machine.id), running))


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """A host as `status` shows it."""

    id: int
    name: str
    power: str
    public: str
    private: str | None
    tags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """A lab as it is at this moment."""

    name: str
    directory: str
    block: str
    running: bool
    pid: int | None
    services: dict[str, bool]
    network: bool
    hosts: tuple[Host, ...]

    def as_json(self) -> dict[str, object]:
        """Return it in JSON's types."""
        return asdict(self)


def status(config: LabConfig) -> Status:
    """Ask the lab what runs; changes nothing, and needs no lab to run."""
    record = instances.daemon(config.name)
    mine = record is not None and record.directory == str(config.directory)
    ports = {"api": API_PORT, "mirror": MIRROR_PORT, "dns": DNS_PORT}
    machines = LocalMachines(config)
    return Status(
        name=config.name,
        directory=str(config.directory),
        block=str(config.block),
        running=mine,
        pid=record.pid if record is not None and mine else None,
        services={name: mine and _answers(config, port) for name, port in ports.items()},
        network=namespace_lives(config.router_namespace),
        hosts=tuple(
            Host(
                id=machine.id,
                name=machine.name,
                power=machines.power(machine.id).value,
                public=str(machine.public.ip),
                private=None if machine.private is None else str(machine.private.ip),
                tags=machine.tags,
            )
            for machine in sorted(machines.known(), key=lambda machine: machine.id)
        ),
    )


def _answers(config: LabConfig, port: int) -> bool:
    try:
        with socket.create_connection((str(config.services), port), timeout=2):
            return True
    except OSError:
        return False


def leftovers(config: LabConfig) -> list[str]:
    """List everything of this lab that the kernel still has, for `status` and for tests."""
    found = [f"process {pid}" for pid in Group(config.name).pids()]
    found += [f"cgroup {folder}" for folder in Group(config.name).folders if folder.exists()]
    found += [f"namespace {name}" for name in Network(config).host_namespaces().values()]
    if namespace_lives(config.router_namespace):
        found.append(f"namespace {config.router_namespace}")
    if Path("/sys/class/net", config.uplink).exists():
        found.append(f"interface {config.uplink}")
    mounts = Path("/proc/self/mountinfo").read_text()
    found += [f"mount {line.split()[4]}" for line in mounts.splitlines() if f"{config.directory}/" in line]
    return found
