"""The local cloud's APIs: DigitalOcean v2 and Cloudflare v4 over one small state store.

`build` is all the daemon needs: it serves `Cloud.app` over HTTP and asks `Cloud.records` for DNS.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path

from starlette.applications import Starlette

from lab.cloud import inventory, tokens
from lab.cloud.actions import Actions
from lab.cloud.addresses import PublicNetwork
from lab.cloud.app import application
from lab.cloud.backend import Backend
from lab.cloud.clock import precise_now
from lab.cloud.dialects import Cloudflare, DigitalOcean
from lab.cloud.names import ZoneRecords
from lab.cloud.resolved_firewalls import Firewalls
from lab.cloud.state import Store
from lab.cloud.tokens import Account, Grants, Tokens
from lab.faults import Switches
from lab.interfaces import Firewall, Machine, Machines, Power, Records

__all__ = ["ZONE_ID", "ZONE_NAME", "Cloud", "PublicNetwork", "build"]

ZONE_NAME = "triplane.test"
ZONE_ID = "7a1e5b1c0d9e4f3aa2b6c8d4e0f11223"


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """One lab's account."""

    app: Starlette
    """Both APIs; its startup calls `resume`."""
    records: Records
    tokens: Tokens
    backend: Backend

    def machines_wanted(self) -> list[tuple[Machine, Power]]:
        """List the droplets that have a host, and whether it should run: a starting daemon adopts or boots them.

        Droplets that were half made or half deleted when the last daemon ended are left out: `resume` handles them.
        """
        with self.backend.store.transaction() as db:
            rows = inventory.droplets(db, "state = 'made' AND NOT deleting")
            return [(inventory.machine(db, row, self.backend.network.block), inventory.wanted(row)) for row in rows]

    def resolved_firewalls(self) -> dict[int, Firewall | None]:
        """Sum up the firewalls of every droplet; None for a droplet without a firewall."""
        return self.backend.firewalls.resolved()

    def resume(self) -> None:
        """Apply the firewalls, and finish in the background what the last daemon left unfinished."""
        self.backend.actions.resume()

    def close(self, seconds: float = 5) -> None:
        """Wait a moment for running actions, then close the store; `resume` finishes those that still run."""
        if self.backend.actions.wait(seconds):
            self.backend.store.close()


def build(directory: Path, machines: Machines, network: PublicNetwork) -> Cloud:
    """Open the account in `directory`, or make it on first use: `cloud.sqlite`, `tokens.yaml` and `api.log`.

    Its switches are those of `faults.yaml` there, read again whenever that changes.
    """
    switches = Switches(directory)
    store = Store(directory / "cloud.sqlite")
    with store.transaction() as db:
        db.execute("INSERT OR IGNORE INTO zones VALUES (?, ?, ?)", (ZONE_ID, ZONE_NAME, precise_now()))
    firewalls = Firewalls(store, machines, switches)
    actions = Actions(store, machines, firewalls, network.block, switches)
    backend = Backend(
        store=store, machines=machines, network=network, firewalls=firewalls, actions=actions, switches=switches
    )
    shown = tokens.load(directory / "tokens.yaml")
    dialects = (
        Cloudflare(Grants(directory, Account.CLOUDFLARE, shown.cloudflare), switches),
        DigitalOcean(Grants(directory, Account.DIGITALOCEAN, shown.digitalocean), switches),
    )
    app = application(backend, dialects, _api_log(directory / "api.log"))
    return Cloud(app=app, records=ZoneRecords(store, switches), tokens=shown, backend=backend)


def _api_log(path: Path) -> logging.Logger:
    # The logger has the name of its file: two labs in one process must not write to each other's log.
    log = logging.getLogger(f"lab.cloud.api:{path}")
    if not log.handlers:
        handler = RotatingFileHandler(path, maxBytes=5_000_000, backupCount=1)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False
    return log
