"""The stage of plays: the real engine and the real program, the local cloud in memory, and the world behind it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.cloud import ZONE_ID, ZONE_NAME
from lab.tests.cloud.service import TOKENS, Server, Service
from lab.tests.plugins.stack import ROOT, Run, Stack, executable
from launcher.stacks import Machine
from tests.plays import scripts
from tests.plays.wire import listening
from tests.plays.world import Entry, Interruption, State, World

CHANGES = {"create", "update", "delete", "replace", "read", "import"}
"""Operations of a plan. The engine lists a replacement's two halves besides."""

Settings = Mapping[str, Any]
"""Settings by their names in a stack's file, without `triplane:`."""

Plan = dict[str, str]
"""Resource, as `Droplet etcd-0`, or a step's name alone → operation."""


@dataclass(frozen=True)
class Scene:
    """A copy of all there is: the engine's state, the cloud, and the world."""

    engine: bytes
    cloud: Path
    world: State


@dataclass(frozen=True)
class Up:
    """What came of an `up`."""

    code: int
    said: str
    """The engine's diagnostics."""
    plan: Plan
    """What was done."""
    record: tuple[Entry, ...]

    @property
    def done(self) -> bool:
        return self.code == 0


class Stage:
    """One stack, and one cloud, which can be taken back to an earlier scene."""

    def __init__(self, directory: Path, server: Server, *, deletes_first: bool) -> None:
        """Prepare the stack; `deletes_first` replaces a droplet as the official plugin does it."""
        self.world = World(scripts.run)
        self._directory, self._server = directory, server
        self._open = ExitStack()
        self._scenes = 0
        socket = directory / "world.sock"
        self._open.enter_context(listening(socket, self.world.run))
        self.stack = Stack(
            directory / "stack",
            ROOT,
            project="triplane",
            executables={
                "digitalocean": executable("tests.plays.digitalocean_stand_in", str(deletes_first)),
                "command": executable("tests.plays.command_stand_in", json.dumps(str(socket))),
            },
            variables={
                "DIGITALOCEAN_TOKEN": TOKENS.digitalocean,
                "CLOUDFLARE_API_TOKEN": TOKENS.cloudflare,
                # A play ends an `up` at a step, and never the engine itself: one write at the end is enough.
                "PULUMI_EXPERIMENTAL": "true",
                "PULUMI_SKIP_CHECKPOINTS": "true",
                "GOGC": "400",
                "HOME": os.environ.get("HOME", str(directory)),
            },
        )
        self._answer_for_pip()
        self._serve()

    def _answer_for_pip(self) -> None:
        """List the packages once: the language host asks pip in each run, which takes a seventh of the run."""
        asked = ["-m", "pip", "list", "-v", "--format", "json"]
        folder = self._directory / "python"
        folder.mkdir()
        listed = subprocess.run([sys.executable, *asked], capture_output=True, text=True, check=True)
        (folder / "packages.json").write_text(listed.stdout)
        for name in ("python", "python3"):
            script = folder / name
            script.write_text(
                f'#!/bin/sh\n[ "$*" != "{" ".join(asked)}" ] || exec cat {folder}/packages.json\n'
                f'exec {sys.executable} "$@"\n'
            )
            script.chmod(0o755)
        self.stack.environment["PATH"] = f"{folder}{os.pathsep}{self.stack.environment['PATH']}"

    def close(self) -> None:
        self._serving.close()
        self._open.close()

    # The cloud.

    def _serve(self) -> None:
        self._serving = ExitStack()
        cloud = self._directory / "cloud"
        cloud.mkdir(exist_ok=True)
        self.service: Service = self._serving.enter_context(self._server.serving(cloud, self.world))
        records = self.service.cloud.records
        self.world.addresses = lambda name: [str(address) for address in records.addresses(name) or ()]

    def lose(self, host: str) -> None:
        """Delete a droplet behind the program's back."""
        with self._accident(host) as droplet, self.service.digitalocean() as client:
            client.delete(f"/v2/droplets/{droplet}").raise_for_status()
            self.service.cloud.backend.actions.wait(5)

    def cut_off(self, host: str) -> None:
        """Kill a host whose droplet is `active` as before: the cloud does not know."""
        with self._accident(host) as droplet:
            self.world.power_off(droplet)

    def write_outputs(self, outputs: Mapping[str, Any]) -> None:
        """Put other outputs into the state, as another version of the program would have left them."""
        written = json.loads(self.stack.state())
        resources = written["checkpoint"]["latest"]["resources"]
        next(each for each in resources if each["type"] == "pulumi:pulumi:Stack")["outputs"] = outputs
        self.stack.state_file.write_text(json.dumps(written))

    @contextmanager
    def _accident(self, host: str) -> Iterator[int]:
        self.world.accident = True
        try:
            yield next(each.id for each in self.world.state.hosts.values() if each.name == host)
        finally:
            self.world.accident = False

    # Copies.

    def scene(self) -> Scene:
        """Copy everything."""
        self._serving.close()
        self._scenes += 1
        copy = self._directory / f"scene-{self._scenes}"
        shutil.copytree(self._directory / "cloud", copy, ignore=shutil.ignore_patterns("*.log"))
        self._serve()
        return Scene(self.stack.state_file.read_bytes(), copy, self.world.copy())

    def return_to(self, scene: Scene) -> None:
        """Take everything back to a copy."""
        self._serving.close()
        shutil.rmtree(self._directory / "cloud")
        shutil.copytree(scene.cloud, self._directory / "cloud")
        self.stack.state_file.write_bytes(scene.engine)
        # An engine that did not end in time was killed, and left its lock.
        shutil.rmtree(self.stack.directory / "state/.pulumi/locks", ignore_errors=True)
        self.world.restore(scene.world)
        self._serve()

    # The engine.

    def set(self, settings: Settings) -> None:
        """Write the stack's file as the lab's launcher does."""
        machine = Machine(
            api_url=self.service.url,
            mirror_url=f"{self.service.url}/mirror",
            digests={},
            images={},
            ssh_ca_public_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS people",
            operator="198.18.0.1/32",
            zone={"id": ZONE_ID, "name": ZONE_NAME},
        )
        tracked = {f"triplane:{name}": value for name, value in settings.items()}
        # Nothing is downloaded here: files and images come from where the settings say.
        ours = {"triplane:images", "triplane:mirror"}
        here = {name: value for name, value in machine.settings("lab", tracked).items() if name not in ours}
        self.stack.config = here | tracked
        self.stack.configure()

    def preview(self, settings: Settings, *options: str) -> tuple[Run, Plan]:
        """Preview; tell what would be done."""
        self.set(settings)
        run = self.stack.pulumi("preview", "--json", *options)
        return run, _plan((step["urn"], step["op"]) for step in json.loads(run.out).get("steps", []))

    def up(self, settings: Settings, *options: str, interruption: Interruption | None = None) -> Up:
        """Bring the stack up, or to where it is interrupted."""
        self.set(settings)
        begin = len(self.world.record)
        with self.world.interrupted(interruption):
            run = self.stack.pulumi("up", "--yes", "--skip-preview", "--json", *options)
        return _told(run.code, _events(run.out), run.err, self.world.record[begin:])

    def previewed_up(self, settings: Settings) -> tuple[Plan, Up]:
        """Preview and bring it up in one run of the engine; with a mistake in the settings, nothing is brought up."""
        self.set(settings)
        begin = len(self.world.record)
        with self.world.interrupted(None):
            run = self.stack.pulumi("up", "--yes", "--json")
        # The engine writes the preview as one document, and then a line for each event of the update.
        preview, end = json.JSONDecoder().raw_decode(run.out)
        plan = _plan((step["urn"], step["op"]) for step in preview.get("steps", []))
        mistakes = "".join(each["message"] for each in preview.get("diagnostics", []))
        done = _told(run.code, _events(run.out[end:]), mistakes + run.err, self.world.record[begin:])
        return plan, done


@contextmanager
def stage(directory: Path, server: Server, *, deletes_first: bool = True) -> Iterator[Stage]:
    """Open a stage, and close it."""
    directory.mkdir(parents=True)
    made = Stage(directory, server, deletes_first=deletes_first)
    try:
        yield made
    finally:
        made.close()


def _events(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def _told(code: int, events: Iterable[Mapping[str, Any]], stderr: str, record: Iterable[Entry]) -> Up:
    said = [event["diagnosticEvent"]["message"] for event in events if "diagnosticEvent" in event]
    done = [event["resOutputsEvent"]["metadata"] for event in events if "resOutputsEvent" in event]
    return Up(
        code=code,
        said="".join(said) + stderr,
        plan=_plan((each["urn"], each["op"]) for each in done),
        record=tuple(record),
    )


def _plan(steps: Iterator[tuple[str, str]]) -> Plan:
    """Keep the changes; components are left out, since nothing is done for them."""
    plan: Plan = {}
    for urn, operation in steps:
        _, _, types, name = urn.split("::", 3)
        kind = types.rpartition("$")[2]
        if operation in CHANGES and not kind.startswith(("triplane:", "pulumi:")):
            label = kind.rpartition(":")[2]
            plan[name if label == "Command" else f"{label} {name}"] = operation
    return dict(sorted(plan.items()))


def tracked(stack: str) -> dict[str, Any]:
    """Read the settings of a stack's file in the checkout."""
    config = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    return {name.removeprefix("triplane:"): value for name, value in config.items() if name.startswith("triplane:")}
