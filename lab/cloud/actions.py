"""Actions: slow operations on a host. Each runs in a thread of its own, and its record shows its progress."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Network

from lab.cloud import inventory
from lab.cloud.clock import now
from lab.cloud.resolved_firewalls import Firewalls
from lab.cloud.state import Store
from lab.faults import Switches
from lab.interfaces import Machine, MachineError, Machines, Power

LOG = logging.getLogger(__name__)

WANTED = {"create": "on", "power_on": "on", "reboot": "on", "power_cycle": "on", "power_off": "off", "shutdown": "off"}
"""Status of the droplet after an action; the others do not change it."""


class Actions:
    """Runner of actions, one at a time per droplet. It also finishes those that a killed daemon left."""

    def __init__(
        self, store: Store, machines: Machines, firewalls: Firewalls, block: IPv4Network, switches: Switches
    ) -> None:
        self._store = store
        self._machines = machines
        self._firewalls = firewalls
        self._block = block
        self._switches = switches
        self._closing = threading.Event()
        self._guard = threading.Lock()
        self._locks: dict[int, threading.Lock] = {}
        self._threads: set[threading.Thread] = set()

    def record(self, droplet: sqlite3.Row, kind: str, **arguments: str | int) -> int:
        """Write down an action that `start` is to run, inside the caller's transaction."""
        with self._store.transaction() as db:
            cursor = db.execute(
                "INSERT INTO actions (droplet, type, arguments, region, status, started_at) "
                "VALUES (?, ?, ?, ?, 'in-progress', ?)",
                (droplet["id"], kind, json.dumps(arguments), droplet["region"], now()),
            )
            if kind in WANTED:
                db.execute("UPDATE droplets SET wanted = ? WHERE id = ?", (WANTED[kind], droplet["id"]))
            return int(cursor.lastrowid or 0)

    def start(self, *actions: int) -> None:
        """Run recorded actions in the background."""
        for action in actions:
            self._in_background(f"action-{action}", partial(self._run, action))

    def _in_background(self, name: str, work: Callable[[], object]) -> None:
        # Daemon threads: a stopping lab does not wait a minute for a shutdown; `resume` finishes it next time.
        thread = threading.Thread(target=work, name=name, daemon=True)
        with self._guard:
            self._threads = {other for other in self._threads if other.is_alive()} | {thread}
        thread.start()

    def resume(self) -> None:
        """Finish the actions that a killed daemon left: every step is idempotent, so each action starts again."""
        with self._store.transaction() as db:
            doomed = [row["id"] for row in db.execute("SELECT id FROM droplets WHERE deleting ORDER BY id")]
            # The request that waited for the deletion of this droplet ended with its daemon.
            for droplet in doomed:
                db.execute(
                    "UPDATE actions SET status = 'errored', reason = 'the droplet was deleted', completed_at = ? "
                    "WHERE droplet = ? AND status = 'in-progress'",
                    (now(), droplet),
                )
            interrupted = [row["id"] for row in db.execute("SELECT id FROM actions WHERE status = 'in-progress'")]
        for droplet in doomed:
            try:
                self.destroy(droplet)
            except MachineError:
                LOG.exception("droplet %s could not be deleted; it stays, delete it again", droplet)
        self._firewalls.apply(at_once=True)
        self.start(*interrupted)

    def destroy_later(self, droplet: int, seconds: float) -> None:
        """Mark a droplet as being deleted, and remove it in the background after that many seconds."""
        with self._store.transaction() as db:
            if not db.execute("UPDATE droplets SET deleting = 1 WHERE id = ? AND NOT deleting", (droplet,)).rowcount:
                return

        def work() -> None:
            if self._closing.wait(seconds):
                return  # it is marked: `resume` removes it
            try:
                self.destroy(droplet)
            except MachineError:
                LOG.exception("droplet %s could not be deleted; it stays, delete it again", droplet)

        self._in_background(f"deletion-{droplet}", work)

    def destroy(self, droplet: int) -> bool:
        """Remove a droplet, after the action that runs on it; False if another call has already removed it."""
        with self._lock(droplet):
            with self._store.transaction() as db:
                marked = db.execute("UPDATE droplets SET deleting = 1 WHERE id = ?", (droplet,)).rowcount
            if not marked:
                return False
            try:
                self._machines.destroy(droplet)
            except Exception:
                # The droplet still exists, so the API must show it: the client's next DELETE tries again.
                with self._store.transaction() as db:
                    db.execute("UPDATE droplets SET deleting = 0, wanted = 'off' WHERE id = ?", (droplet,))
                raise
            with self._store.transaction() as db:
                inventory.depart(db, droplet, self._switches.now().vpc_members_seconds)
                db.execute("DELETE FROM droplets WHERE id = ?", (droplet,))
        self._firewalls.apply()
        return True

    def wait(self, seconds: float) -> bool:
        """Wait for running actions to end; False if one still runs."""
        self._closing.set()
        deadline = time.monotonic() + seconds
        with self._guard:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _lock(self, droplet: int) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(droplet, threading.Lock())

    def _run(self, action_id: int) -> None:
        with self._store.transaction() as db:
            action = db.execute("SELECT * FROM actions WHERE id = ?", (action_id,)).fetchone()
        with self._lock(action["droplet"]):
            reason = None
            try:
                self._do(action)
            except Exception as error:
                reason = str(error) or type(error).__name__
                LOG.exception("%s of droplet %s failed", action["type"], action["droplet"])
            with self._store.transaction() as db:
                db.execute(
                    "UPDATE actions SET status = ?, reason = ?, completed_at = ? WHERE id = ?",
                    ("errored" if reason else "completed", reason, now(), action_id),
                )

    def _do(self, action: sqlite3.Row) -> None:
        droplet, kind = action["droplet"], action["type"]
        with self._store.transaction() as db:
            row = inventory.droplet(db, droplet)
        if row is None:
            message = "the droplet was deleted"
            raise MachineError(message)
        steps: dict[str, Callable[[], None]] = {
            "create": lambda: self._create(droplet),
            "power_on": lambda: self._power_on(row),
            "power_off": lambda: self._machines.power_off(droplet),
            "shutdown": lambda: self._shutdown(droplet),
            "reboot": lambda: self._machines.reboot(droplet),
            "power_cycle": lambda: self._power_cycle(droplet),
            "resize": lambda: self._change(droplet, **json.loads(action["arguments"])),
            "rename": lambda: self._change(droplet, **json.loads(action["arguments"])),
        }
        steps[kind]()

    def _create(self, droplet: int) -> None:
        try:
            # This takes `firewall_seconds`, like any change: until then the new host has no firewall, as on a droplet.
            self._firewalls.apply()
            self._machines.create(self._machine(droplet))
        except Exception:
            self._set_state(droplet, "failed")
            self._clear(droplet)
            raise
        self._set_state(droplet, "made")

    def _clear(self, droplet: int) -> None:
        """Remove what was made of a host before its creation failed; the caller reports the failure."""
        try:
            self._machines.destroy(droplet)
        except MachineError:
            LOG.exception("droplet %s: what was made of it could not be removed", droplet)

    def _power_on(self, row: sqlite3.Row) -> None:
        # A droplet whose creation failed is off; `power_on` tries the creation again.
        if row["state"] == "failed":
            self._create(row["id"])
        else:
            self._machines.power_on(row["id"])

    def _shutdown(self, droplet: int) -> None:
        if self._machines.power(droplet) is Power.ON:
            self._machines.shutdown(droplet)

    def _power_cycle(self, droplet: int) -> None:
        if self._machines.power(droplet) is Power.ON:
            self._machines.power_off(droplet)
        self._machines.power_on(droplet)

    def _change(self, droplet: int, **columns: str | int) -> None:
        """Write new values into a droplet's columns (their names come from this code), and update the host."""
        with self._store.transaction() as db:
            for column, value in columns.items():
                db.execute(f"UPDATE droplets SET {column} = ? WHERE id = ?", (value, droplet))  # noqa: S608 - the column is one of ours
        self._machines.update(self._machine(droplet))

    def _machine(self, droplet: int) -> Machine:
        with self._store.transaction() as db:
            row = inventory.droplet(db, droplet)
            if row is None:
                message = "the droplet was deleted"
                raise MachineError(message)
            return inventory.machine(db, row, self._block)

    def _set_state(self, droplet: int, state: str) -> None:
        with self._store.transaction() as db:
            db.execute("UPDATE droplets SET state = ? WHERE id = ?", (state, droplet))
