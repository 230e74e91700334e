"""A small stack on the real engine, with the stand-ins as its plugins."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from lab import plugins
from toolchain import engine

ROOT = Path(plugins.__file__).parents[2]

EXECUTABLE = """\
#!/bin/sh
exec {python} -I -c '
import sys
sys.path.insert(0, "{root}")
from lab.plugins.protocol import import_lightly
import_lightly()
from lab.plugins.server import run
from {module} import plugin
run(plugin({arguments}), sys.argv[1])
' "$@"
"""


def executable(module: str, arguments: str = "") -> str:
    """Write a plugin's executable that calls `plugin` of a module with these arguments, as Python without quotes."""
    return EXECUTABLE.format(python=sys.executable, root=ROOT, module=module, arguments=arguments)


IN_A_HURRY = {"digitalocean": executable("lab.tests.plugins.hurried")}
"""The digitalocean stand-in at a pace for tests; the others are as installed."""


@dataclass
class Run:
    """What came of a command."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code == 0, self.err or self.out
        return json.loads(self.out)


@dataclass
class Stack:
    """A program, its configuration and its state, in a folder of their own."""

    directory: Path
    program: str | Path
    """Its text, or the folder that it is in."""
    config: dict[str, Any] = field(default_factory=dict)
    project: str = "tiny"
    executables: Mapping[str, str] = field(default_factory=lambda: IN_A_HURRY)
    """Plugin → text of its executable; the others are as installed."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """More of the environment."""

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True)
        home = self.directory / "home"
        for program in plugins.install(self.directory / "stand-ins", Path(sys.executable)):
            name = program.name.removeprefix("pulumi-resource-")
            folder = home / "plugins" / f"resource-{name}-v{version(f'pulumi-{name}')}"
            folder.mkdir(parents=True)
            (folder / program.name).symlink_to(program)
            if name in self.executables:
                program.write_text(self.executables[name])
        (self.directory / "state").mkdir()
        project = {"name": self.project, "runtime": {"name": "python"}}
        if isinstance(self.program, Path):
            project["main"] = os.path.relpath(self.program, self.directory)
        else:
            (self.directory / "__main__.py").write_text(self.program)
        (self.directory / "Pulumi.yaml").write_text(yaml.safe_dump(project))
        found = engine()
        folders = dict.fromkeys(str(path.parent) for path in found.values())
        self.environment = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), *folders, "/usr/bin:/bin"]),
            "HOME": str(self.directory),
            "PULUMI_HOME": str(home),
            "PULUMI_BACKEND_URL": f"file://{self.directory / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "a passphrase",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_AUTOMATION_API_SKIP_VERSION_CHECK": "true",
            **self.variables,
        }
        assert self.pulumi("stack", "init", "test").code == 0
        self.configure()

    def configure(self, **changes: Any) -> None:
        """Set the program's configuration; None takes a value away."""
        self.config |= {name if ":" in name else f"{self.project}:{name}": value for name, value in changes.items()}
        file = self.directory / "Pulumi.test.yaml"
        settings = yaml.safe_load(file.read_text()) if file.is_file() else {}
        settings["config"] = {name: value for name, value in self.config.items() if value is not None}
        file.write_text(yaml.safe_dump(settings))

    def pulumi(self, *arguments: str) -> Run:
        ended = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=800,
        )
        return Run(ended.returncode, ended.stdout, ended.stderr)

    def interrupted(self, *arguments: str, when: Callable[[], None], then: Callable[[], None] = lambda: None) -> Run:
        """Run a command, press Ctrl-C once `when` returns, and let `then` do what it is waiting for by now."""
        process = subprocess.Popen(
            ["env", "--default-signal=INT", "pulumi", *arguments, "--non-interactive"],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        when()
        os.killpg(process.pid, signal.SIGINT)
        then()
        out, err = process.communicate(timeout=60)
        return Run(process.returncode, out, err)

    def up(self) -> dict[str, int]:
        """Bring the stack up; tell how many resources were created, updated, and so on."""
        run = self.pulumi("up", "--yes", "--skip-preview", "--json")
        assert run.code == 0, run.out + run.err
        return _counts(run)

    def refresh(self) -> dict[str, int]:
        run = self.pulumi("refresh", "--yes", "--skip-preview", "--json")
        assert run.code == 0, run.out + run.err
        return _counts(run)

    def plan(self) -> dict[str, str]:
        """Preview; tell what would be done to which resource."""
        steps = self.pulumi("preview", "--json").json()["steps"]
        plan: dict[str, str] = {}
        for step in steps:
            name = step["urn"].rpartition("::")[2]
            if step["op"] in ("create", "update", "delete", "replace") and not name.startswith(f"{self.project}-"):
                plan[name] = step["op"]
        return plan

    def outputs(self) -> dict[str, Any]:
        return self.pulumi("stack", "output", "--json", "--show-secrets").json()  # type: ignore[no-any-return]

    def outputs_of(self, name: str) -> dict[str, Any]:
        """Give what the state holds of one resource."""
        resources = json.loads(self.state())["checkpoint"]["latest"]["resources"]
        return next(r["outputs"] for r in resources if r["urn"].endswith(f"::{name}"))

    def exported(self) -> dict[str, Any]:
        """Give the state with its secrets open."""
        return self.pulumi("stack", "export", "--show-secrets").json()  # type: ignore[no-any-return]

    def take_over(self, state: dict[str, Any]) -> None:
        """Put another state in its place."""
        file = self.directory / "other-state.json"
        file.write_text(json.dumps(state))
        taken = self.pulumi("stack", "import", "--file", str(file))
        file.unlink()
        assert taken.code == 0, taken.out + taken.err

    @property
    def state_file(self) -> Path:
        return self.directory / "state/.pulumi/stacks" / self.project / "test.json"

    def state(self) -> str:
        return self.state_file.read_text()


def _counts(run: Run) -> dict[str, int]:
    summaries = [json.loads(line) for line in run.out.splitlines() if '"summaryEvent"' in line]
    return dict(summaries[-1]["summaryEvent"]["resourceChanges"])
