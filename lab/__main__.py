"""`python -m lab`: a local cloud with DigitalOcean's and Cloudflare's APIs, whose droplets are real hosts."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lab import faults, instances, lifecycle
from lab.config import DEFAULT_BLOCK, ConfigError, LabConfig
from lab.hosts import cleanup, inotify
from lab.interfaces import MachineError

app = typer.Typer(
    name="lab",
    help=__doc__,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

switches = typer.Typer(
    name="faults",
    help="The lab's switches: slow boots, sold-out sizes, refused calls and more (docs/lab-faults.md).",
    invoke_without_command=True,
)
app.add_typer(switches)

_DEFAULT_DIRECTORY = Path(__file__).parent.parent / ".triplane" / "lab"


@app.callback()
def choose(
    context: typer.Context,
    directory: Annotated[
        Path, typer.Option(help="Where the lab keeps its account and its hosts' disks.")
    ] = _DEFAULT_DIRECTORY,
    name: Annotated[str, typer.Option(help="The lab's name: up to ten of a-z 0-9.")] = "lab",
    block: Annotated[str, typer.Option(help="The addresses of its public network.")] = str(DEFAULT_BLOCK),
) -> None:
    """Choose the lab."""
    with _explained():
        try:
            network = IPv4Network(block)
        except ValueError as error:
            raise ConfigError(f"--block {block}: {error}; write a network such as 198.18.0.0/24") from error
        context.obj = LabConfig(directory=directory.absolute(), name=name, block=network)


@app.command()
def start(context: typer.Context) -> None:
    """Start the lab in the background, and return when everything answers. Do nothing if it already runs."""
    with _explained():
        lifecycle.start(context.obj, _say)


@app.command()
def serve(
    context: typer.Context,
    report_to: Annotated[int, typer.Option(hidden=True, help="A file descriptor that hears how the start went.")] = -1,
) -> None:
    """Run the lab in the foreground until Ctrl-C; its hosts go on running until `stop`."""
    from lab import daemon

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    report = _reporter(report_to)

    def say(line: str) -> None:
        logging.getLogger("lab").info("%s", line)
        report("say", line)

    def ready() -> None:
        report("ready", "")
        if report_to >= 0:
            os.close(report_to)

    try:
        daemon.serve(context.obj, say, ready)
    except (MachineError, instances.LabError) as error:
        report("error", str(error))
        sys.exit(f"error: {error}")


@app.command()
def stop(
    context: typer.Context,
    purge: Annotated[bool, typer.Option("--purge", help="Remove the account and all disks as well.")] = False,
) -> None:
    """Stop the lab with its hosts and its network. Disks and account stay for the next start."""
    with _explained():
        lifecycle.stop(context.obj, _say, purge=purge)


@app.command()
def clear(context: typer.Context) -> None:
    """Remove what a killed lab left in the kernel: processes, namespaces, interfaces. Refused while it runs."""
    with _explained(), instances.changing(context.obj, _say), instances.as_daemon(context.obj):
        cleanup.clear(context.obj)
        inotify.put_back(context.obj.name)
        instances.forget(context.obj.name)


@app.command()
def status(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what runs. Exit with 1 if the lab does not run."""
    with _explained():
        now = lifecycle.status(context.obj)
    if as_json:
        typer.echo(json.dumps(now.as_json(), indent=1))
    else:
        _show(now)
    raise typer.Exit(0 if now.running else 1)


@switches.callback()
def show(context: typer.Context) -> None:
    """Show the switches; those that are set stand out. A change counts at once, also while the lab runs."""
    if context.invoked_subcommand is None:
        with _explained():
            _show_switches(faults.load(context.obj.directory / faults.FILE))


@switches.command("set")
def set_switches(
    context: typer.Context,
    assignments: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="Lists with commas between.")],
) -> None:
    """Set switches."""
    with _explained():
        _show_switches(faults.change(context.obj.directory, assignments))


@switches.command("clear")
def clear_switches(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="All where none is named.")] = None,
) -> None:
    """Put switches back to their defaults."""
    with _explained():
        _show_switches(faults.clear(context.obj.directory, names or []))


def _show_switches(now: faults.Faults) -> None:
    table = Table("switch", "value", "default", box=None, pad_edge=False)
    for name, field in faults.Faults.model_fields.items():
        value = getattr(now, name)
        mark = "bold" if value != field.default else ""
        table.add_row(name, faults.shown(value), faults.shown(field.default), style=mark)
    Console().print(table)


@app.command()
def token(
    context: typer.Context,
    scopes: Annotated[list[str], typer.Argument(metavar="SCOPE...", help="For example droplet:read vpc:create.")],
    cloudflare: Annotated[
        bool, typer.Option("--cloudflare", help="A token of Cloudflare's: dns_records:edit, zone:read.")
    ] = False,
) -> None:
    """Make a token of the lab's account that has these scopes and no others, and print it."""
    from lab.cloud import tokens

    account = tokens.Account.CLOUDFLARE if cloudflare else tokens.Account.DIGITALOCEAN
    with _explained():
        try:
            typer.echo(tokens.grant(context.obj.directory, account, scopes))
        except ValueError as error:
            raise ConfigError(str(error)) from error


def _show(now: lifecycle.Status) -> None:
    console = Console()
    console.print(
        f"lab {now.name} in {now.directory}: " + (f"running (pid {now.pid})" if now.running else "not running")
    )
    for service, answers in now.services.items():
        console.print(f"  {service}: {'answers' if answers else 'silent'}")
    if now.hosts:
        table = Table("id", "host", "power", "public", "VPC", "tags")
        for host in now.hosts:
            table.add_row(str(host.id), host.name, host.power, host.public, host.private or "", " ".join(host.tags))
        console.print(table)


def _say(line: str) -> None:
    typer.echo(line)


def _reporter(descriptor: int) -> Callable[[str, str], None]:
    def report(kind: str, text: str) -> None:
        if descriptor >= 0:
            # The process that started the daemon may have ended; the daemon goes on.
            with _broken_pipe_ignored():
                os.write(descriptor, f"{kind} {text}".replace("\n", " ").encode() + b"\n")

    return report


@contextmanager
def _broken_pipe_ignored() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        return


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (ConfigError, MachineError, faults.FaultsError, instances.LabError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    except PermissionError as error:
        typer.echo(f"error: {error.strerror}: {error.filename}: the lab must be run as root (`sudo`)", err=True)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    app(prog_name="python -m lab")
