"""All checks, in their order: a check that others depend on comes first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from doctor import cloudflare, digitalocean, machine, outside, reach
from doctor.findings import Finding, State, note, ok, wrong
from doctor.outside import Outside
from doctor.reading import Reader, ReadError, RefusedError
from doctor.stack import Pulumi, PulumiError, Stack, name_of, read
from settings.mistakes import SettingsError

Check = tuple[str, Callable[[], Finding]]
Result = tuple[str, Finding]


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """The doctor's arguments."""

    pulumi: Pulumi
    stack: str | None = None
    address: IPv4Address | None = None
    dial: str | None = None
    outside: str | None = None
    """URL of the server to ask from outside; None for 1.1.1.1, or for no server if the clouds are not the real ones."""


class Examination:
    """One round of checks; `stack` and `cloud` are set when they are found."""

    stack: Stack | None = None
    cloud: Reader | None = None
    """DigitalOcean, with the stack's token."""

    def __init__(self, question: Question) -> None:
        self._question = question

    def run(self) -> Iterator[Result]:
        """Make all checks, one after another."""
        yield from self._machine()
        yield from self._stack()
        if self.stack is not None:
            yield from self._clouds(self.stack)

    def _machine(self) -> Iterator[Result]:
        pulumi, pins = self._question.pulumi, machine.pinned(machine.REQUIREMENTS.read_text())
        yield "python packages", machine.packages(pins)
        engine = machine.engine(pulumi, pins)
        yield "pulumi", engine
        if engine.state is not State.WRONG:
            yield "provider plugins", machine.plugins(pulumi, pins)
        yield "ssh agent", machine.agent()

    def _stack(self) -> Iterator[Result]:
        wanted = self._question.stack
        try:
            name = name_of(self._question.pulumi, wanted)
            self.stack = read(self._question.pulumi, name)
        except PulumiError as error:
            yield (
                "stack and settings",
                wrong(
                    f"{error}.",
                    f"Once it can be read, run this again; a new stack: pulumi stack init {wanted or 'NAME'}",
                ),
            )
        except SettingsError as error:
            for mistake in error.mistakes:
                yield "stack and settings", wrong(str(mistake), "")
        else:
            hosts, settings = self.stack.topology.hosts, self.stack.settings
            yield (
                "stack and settings",
                ok(f"{name}: {len(hosts)} hosts in {settings.region}, as {settings.domain} in {settings.zone.name}."),
            )

    def _clouds(self, stack: Stack) -> Iterator[Result]:
        asked = self._question
        ocean, flare = digitalocean.reader(stack.digitalocean), cloudflare.reader(stack.cloudflare)
        self.cloud = ocean
        seen = self._outside(ocean, flare)
        yield from _group(
            ("digitalocean token", lambda: digitalocean.token(stack, ocean)),
            [
                ("digitalocean rights", lambda: digitalocean.rights(stack, ocean)),
                ("clock", lambda: digitalocean.clock(stack, ocean)),
                ("account", lambda: digitalocean.status(stack, ocean)),
                ("droplet limit", lambda: digitalocean.limit(stack, ocean)),
                ("region and sizes", lambda: digitalocean.offer(stack, ocean)),
                ("image", lambda: digitalocean.image(stack, ocean)),
                ("vpc range", lambda: digitalocean.vpc_range(stack, ocean)),
                ("default vpc", lambda: digitalocean.default_vpc(stack, ocean)),
                ("names in digitalocean", lambda: digitalocean.names(stack, ocean)),
            ],
        )
        yield from _group(
            ("cloudflare token", lambda: cloudflare.token(stack, flare)),
            [
                ("zone", lambda: cloudflare.zone(stack, flare)),
                ("delegation", lambda: cloudflare.delegation(stack, flare, seen)),
                ("records", lambda: cloudflare.records(stack, flare)),
            ],
        )
        yield "own address", reach.address(stack, asked.address, seen)
        yield "ports outbound", attempt(lambda: reach.ports(stack, ocean, asked.dial))

    def _outside(self, ocean: Reader, flare: Reader) -> Outside | None:
        """Server to ask from outside; None for a cloud that is not on the internet, such as the lab's."""
        if self._question.outside is not None:
            return Outside.at(self._question.outside)
        real = ocean.base == digitalocean.API and flare.base == cloudflare.API
        return Outside.at(outside.DEFAULT) if real else None


def _group(gate: Check, others: Sequence[Check]) -> Iterator[Result]:
    """Make the other checks only if the first one finds no problem."""
    name, check = gate
    found = check()
    yield name, found
    if found.state is State.WRONG:
        for skipped, _ in others:
            yield skipped, note(f"Not checked: see {name}.")
        return
    for other, check in others:
        yield other, attempt(check)


def attempt(check: Callable[[], Finding]) -> Finding:
    """Make a check; an unreadable answer is a problem, unless a right is missing: another check reports that."""
    try:
        return check()
    except RefusedError as error:
        if error.status in (digitalocean.UNAUTHORIZED, digitalocean.FORBIDDEN):
            return note(f"Not checked: {error}.")
        return wrong(f"Not checked: {error}.", "Try again.")
    except ReadError as error:
        return wrong(f"Not checked: {error}.", "Try again.")
