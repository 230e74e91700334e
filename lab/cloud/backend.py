"""Services that every handler uses."""

from __future__ import annotations

from dataclasses import dataclass

from lab.cloud.actions import Actions
from lab.cloud.addresses import PublicNetwork
from lab.cloud.resolved_firewalls import Firewalls
from lab.cloud.state import Store
from lab.faults import Switches
from lab.interfaces import Machines


@dataclass(frozen=True, kw_only=True)
class Backend:
    """The account's state, and the machines that it describes."""

    store: Store
    machines: Machines
    network: PublicNetwork
    firewalls: Firewalls
    actions: Actions
    switches: Switches
