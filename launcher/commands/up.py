"""`./triplane up`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

import toolchain
from lab.oci.recipes import AGNHOST
from launcher import plugin_choice, stacks
from launcher.apply import ready
from launcher.context import Context
from launcher.errors import InterruptedByUserError
from launcher.report import console


def up(context: Context, *, preview: bool, refresh: bool) -> int:
    """Raise the cluster."""
    with context.workspace.locked(context.report):
        engine = ready(context, context.workspace.stack)
        used = plugin_choice.Kind.OFFICIAL if engine.official_plugins else plugin_choice.Kind.STAND_INS
        context.report.say(f"provider plugins: {used}")
        verb = ["preview"] if preview else ["up", "--yes", "--skip-preview"]
        outcome = engine.run(*verb, "--suppress-outputs", *(["--refresh"] if refresh else []))
    if outcome.stopped:
        raise InterruptedByUserError("stopped; ./triplane up goes on from here, ./triplane down clears everything away")
    if outcome.code == 0 and not preview:
        show_next(stacks.outputs(context.workspace), _image_for_pods(context))
    return outcome.code


def _image_for_pods(context: Context) -> str | None:
    """Name the only image that the lab's registry has besides the cluster's own: no other registry can be reached."""
    made = toolchain.cached("kubernetes-images", context.preparation.kubernetes())
    return f"{AGNHOST}:{made.path('VERSION').read_text().strip()}" if made else None


def show_next(outputs: Mapping[str, Any], image: str | None) -> None:
    """Print the hosts, and commands to try next; `image` is an image that pods can run."""
    out = console()
    table = Table(box=None, pad_edge=False)
    for heading in ("HOST", "ROLES", "PUBLIC", "PRIVATE"):
        table.add_column(heading)
    for host in outputs["hosts"]:
        table.add_row(host["name"], ", ".join(host["roles"]), host["publicAddress"], host["privateAddress"])
    out.print(table)
    out.print(f"\nThe API answers at {outputs['apiEndpoint']}. Next:", highlight=False)
    first = outputs["hosts"][0]["name"].split(".")[0]
    for command, purpose in (
        ("./triplane status", "what runs where, and how it is"),
        ("./triplane kubectl get nodes -o wide", "the nodes, by the cluster's API, as its administrator"),
        ("./triplane kubectl get pods -A -o wide", "what runs on them"),
        ("./triplane etcdctl member list -w table", "the members of etcd"),
        (f"./triplane ssh {first}", "a shell on a host"),
        ("./triplane pulumi preview --diff", "what a change in Pulumi.lab.yaml would do"),
        ("./triplane down", "everything away again"),
    ):
        out.print(f"  {command:<44}{purpose}", highlight=False)
    if image:
        out.print(
            f"\nA first pod: ./triplane kubectl run web --image={image} -- netexec", highlight=False, soft_wrap=True
        )
