"""The commands of `./triplane`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from launcher.context import Context
from launcher.errors import InterruptedByUserError, LauncherError, MistakeError
from launcher.report import Report
from launcher.workspace import Workspace

PASSING = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}
"""Settings of commands that pass their arguments to another program: everything after the command's name."""

# Each command imports only what it needs: kubectl should not wait until a local cloud's web servers are loaded.

app = typer.Typer(
    name="./triplane",
    help="A highly available Kubernetes cluster in a local cloud on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

image_app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command; every expected error is one message and an exit code."""
    report = Report()
    try:
        app(args=None if arguments is None else list(arguments), prog_name="./triplane", standalone_mode=True)
    except MistakeError as error:
        report.warn(str(error))
        sys.exit(2)
    except InterruptedByUserError as error:
        report.warn(str(error))
        sys.exit(130)
    except LauncherError as error:
        report.warn(str(error))
        sys.exit(1)
    sys.exit(0)


def _context() -> Context:
    return Context(workspace=Workspace.from_environment(os.environ), report=Report())


@app.command()
def up(
    *,
    preview: Annotated[bool, typer.Option("--preview", help="Say what would change, and change nothing.")] = False,
    refresh: Annotated[bool, typer.Option("--refresh", help="Read the cloud's state first, and repair drift.")] = False,
) -> None:
    """Raise the cluster, or bring it to what Pulumi.lab.yaml says.

    Downloads or builds what is not here yet, once: minutes where upstream's release servers answer, half an hour where
    everything is built from source. Then it starts the lab, and runs the engine. An `up` that was interrupted is
    finished by the next one.
    """
    from launcher.commands import up as command

    sys.exit(command.up(_context(), preview=preview, refresh=refresh))


@app.command()
def down() -> None:
    """Destroy the cluster and stop the lab; nothing is left but caches."""
    from launcher.commands import down as command

    command.down(_context())


@app.command(context_settings=PASSING)
def test(context: typer.Context) -> None:
    """Run the tests. More words go to pytest.

    `test fast`: those that need no hosts and no engine. `test`: what every change must pass. `test long`: all,
    end to end on each image that the lab has; hours.
    """
    from launcher.commands import test as command

    command.test(_context(), context.args)


@app.command()
def bench(
    *,
    runs: Annotated[int, typer.Option(min=1, help="How often; the tables show medians.")] = 1,
    droplet_boot: Annotated[
        float,
        typer.Option(min=0, max=600, metavar="SECONDS", help="How long droplets take to boot; on DigitalOcean 45."),
    ] = 0,
    cpu: Annotated[bool, typer.Option("--cpu", help="Only CPU times, on the cluster that is up.")] = False,
) -> None:
    """Measure `up`, a preview of prod, how fast 50 pods start, and memory. Takes the cluster down first.

    Then it compares the CPU time of an `up` with nothing to do, and of a preview of prod, with a program that has as
    many trivial resources, and shows the CPU time of previews of 9, 30 and 100 hosts. --cpu does only that.

    With --droplet-boot it says what `up` adds to one droplet's boot. The lab keeps that boot time until it is taken
    down (`./triplane lab faults clear`).
    """
    from launcher.commands import bench as command

    sys.exit(command.cpu_times(_context()) if cpu else command.bench(_context(), runs, droplet_boot))


@app.command()
def conformance(
    *,
    focus: Annotated[str, typer.Option(help="Only specs whose name has this regular expression in it.")] = "",
    parallel: Annotated[int, typer.Option(min=1, max=16, help="How many specs at a time.")] = 4,
    listing: Annotated[bool, typer.Option("--list", help="Say which specs would run, and run none.")] = False,
) -> None:
    """Run upstream's conformance specs for nodes, pods and services against the cluster.

    Builds upstream's test program first (a quarter of an hour, once). Exit code 1 where a spec fails.
    """
    from launcher.commands import conformance as command

    sys.exit(command.conformance(_context(), focus=focus, parallel=parallel, listing=listing))


@app.command(context_settings=PASSING)
def pulumi(context: typer.Context) -> None:
    """Run the engine on the lab's stack (--stack NAME for another one), in the lab's cloud."""
    from launcher.commands import pulumi as command

    command.pulumi(_context(), context.args)


@app.command(context_settings=PASSING)
def doctor(context: typer.Context) -> None:
    """Check a stack against the lab's accounts (--stack NAME for another one), reading only.

    On a real account: .venv/bin/python -m doctor --stack prod. More words go to that program: --json, --dial HOST.
    """
    from launcher.commands import doctor as command

    command.doctor(_context(), context.args)


@app.command(context_settings=PASSING)
def kubectl(context: typer.Context) -> None:
    """Run kubectl as the cluster's administrator; logs, exec -it and port-forward as anywhere."""
    from launcher.commands import kubectl as command

    command.kubectl(_context(), context.args)


@app.command(context_settings=PASSING)
def etcdctl(context: typer.Context) -> None:
    """Run etcdctl on an etcd host, with that host's own client certificate."""
    from launcher.commands import etcdctl as command

    command.etcdctl(_context(), context.args)


@app.command(context_settings=PASSING)
def ssh(
    context: typer.Context,
    host: Annotated[str, typer.Argument(help="A host's name, short (etcd-0) or full.")],
) -> None:
    """Log in to a host, or run a command there."""
    from launcher.commands import ssh as command

    command.ssh(_context(), host, context.args)


@app.command()
def status(
    *,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show hosts, services and nodes, and their health. Exits with 1 if anything is unhealthy."""
    from launcher.commands import status as command

    sys.exit(command.status(_context(), json=json))


@app.command(context_settings=PASSING)
def lab(context: typer.Context) -> None:
    """Use the local cloud alone: start, stop, status."""
    from launcher.commands import lab as command

    command.lab(_context(), context.args)


@app.command()
def version() -> None:
    """Show the pinned versions, and those in use."""
    from launcher.commands import version as command

    command.version(_context())


@image_app.callback()
def image() -> None:
    """Show, load and remove images of the lab's registry, from which every pod's image is pulled.

    It asks other registries for what it does not have, where it can reach them (TRIPLANE_REGISTRIES=none: never), and
    keeps what they answer.
    """


@image_app.command(name="load")
def image_load(
    file: Annotated[str, typer.Argument(help="From `docker save`, or an OCI layout as tar; - is standard input.")],
    name: Annotated[
        str | None, typer.Option(help="NAME:TAG of its only image, in place of what the archive says.")
    ] = None,
) -> None:
    """Load the images of an archive, so that pods can run them by their tags. Needs no network and no running lab.

    An image of the same tag is replaced. Loaded images outlive `down`.
    """
    from launcher.commands import image as command

    command.load(_context(), file, name)


@image_app.command(name="list")
def image_list(
    *,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List images: the cluster's own, loaded ones, and those pulled from other registries."""
    from launcher.commands import image as command

    command.show(_context(), json=json)


@image_app.command(name="remove")
def image_remove(names: Annotated[list[str], typer.Argument(help="Tags of loaded images, such as web:1.0.")]) -> None:
    """Remove loaded images. Nodes that have pulled them keep them."""
    from launcher.commands import image as command

    command.remove(_context(), names)


@image_app.command(name="prune")
def image_prune() -> None:
    """Remove what was pulled from other registries; it is pulled again where a pod asks for it."""
    from launcher.commands import image as command

    command.prune(_context())


app.add_typer(image_app, name="image")
