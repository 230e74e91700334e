"""What a daemon finds when it starts over a directory that another one has left, in whatever state."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from lab.cloud import build
from lab.interfaces import Power
from lab.tests.cloud.memory import MemoryMachines
from lab.tests.cloud.service import NETWORK, Account, Server, Service
from tests.waiting import wait_for

# A killed daemon's threads end without a word: that is what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

WALL = {
    "name": "wall",
    "inbound_rules": [{"protocol": "tcp", "ports": "22", "sources": {"addresses": ["0.0.0.0/0"]}}],
    "tags": ["walled"],
}


def everything(service: Service) -> dict[str, object]:
    with service.digitalocean() as digitalocean, service.cloudflare() as cloudflare:
        lists = ("account/keys", "actions", "droplets", "firewalls", "tags", "vpcs")
        found = {name: digitalocean.get(f"/v2/{name}").json() for name in lists}
        (zone,) = cloudflare.get("/zones").json()["result"]
        return {**found, "zone": zone, "records": cloudflare.get(f"/zones/{zone['id']}/dns_records").json()["result"]}


def test_all_of_the_account_survives(server: Server, tmp_path: Path) -> None:
    machines = MemoryMachines()
    with server.serving(tmp_path, machines) as service:
        account = Account(service)
        key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
        account.client.ssh_keys.create({"name": "k", "public_key": key})
        account.droplet("on", tags=["walled"], vpc_uuid=account.vpc())
        account.act(account.droplet("off"), type="power_off")
        account.client.firewalls.create(WALL)
        with service.cloudflare() as cloudflare:
            zone = cloudflare.get("/zones").json()["result"][0]["id"]
            cloudflare.post(f"/zones/{zone}/dns_records", json={"name": "a", "type": "A", "content": "198.19.0.10"})
        before, tokens, firewalls = everything(service), service.cloud.tokens, dict(machines.firewalls)
    machines.firewalls.clear()
    with server.serving(tmp_path, machines) as service:
        assert service.cloud.tokens == tokens
        assert everything(service) == before
        assert machines.firewalls == firewalls  # in force before the first call is answered


def test_the_daemon_is_told_which_machines_should_run(server: Server, tmp_path: Path) -> None:
    machines = MemoryMachines()
    with server.serving(tmp_path, machines) as service:
        account = Account(service)
        running, stopped = account.droplet("on", tags=["t"]), account.droplet("off")
        account.act(stopped, type="shutdown")
        known = dict(machines.machines)
    with server.serving(tmp_path, machines) as service:
        wanted = service.cloud.machines_wanted()
    assert wanted == [(known[running], Power.ON), (known[stopped], Power.OFF)]


def test_ids_go_on_where_they_were_and_a_freed_address_is_used(server: Server, tmp_path: Path) -> None:
    with server.serving(tmp_path) as service:
        account = Account(service)
        first = account.droplet()
        account.client.droplets.destroy(first)
    with server.serving(tmp_path) as service:
        second = Account(service).droplet()
        assert second > first
        assert str(service.machines.machines[second].public) == "198.19.0.10/24"


@pytest.mark.parametrize(
    ("step", "status"),
    [("power_off", "off"), ("shutdown", "off"), ("reboot", "active")],
)
def test_an_action_that_was_cut_short_is_finished(server: Server, tmp_path: Path, step: str, status: str) -> None:
    machines = MemoryMachines()
    with server.serving(tmp_path, machines) as service:
        account = Account(service)
        droplet = account.droplet()
        machines.killed_in.add(step)
        action = account.client.droplet_actions.post(droplet, {"type": step})["action"]["id"]
        wait_for(f"{step} has begun", lambda: (step, droplet) in machines.calls)
        assert account.client.actions.get(action)["action"]["status"] == "in-progress"
    survivor = MemoryMachines(machines=dict(machines.machines), powers=dict(machines.powers))
    with server.serving(tmp_path, survivor) as service:
        account = Account(service)
        assert account.finished(action)["status"] == "completed"
        assert account.status(droplet) == status
        assert (step, droplet) in survivor.calls


def test_a_creation_that_was_cut_short_is_finished(server: Server, tmp_path: Path) -> None:
    machines = MemoryMachines()
    with server.serving(tmp_path, machines) as service:
        machines.killed_in.add("create")
        body = {"name": "host", "size": "s-1vcpu-1gb", "image": "debian-12-x64", "tags": ["walled"]}
        account = Account(service)
        created = account.client.droplets.create(body)
        droplet, action = created["droplet"]["id"], created["links"]["actions"][0]["id"]
        wait_for("create has begun", lambda: ("create", droplet) in machines.calls)
        assert account.client.actions.get(action)["action"]["status"] == "in-progress"
    survivor = MemoryMachines()
    with server.serving(tmp_path, survivor, resume=False) as service:
        assert service.cloud.machines_wanted() == []  # half made: not to be adopted
        assert Account(service).status(droplet) == "new"
        service.cloud.resume()
        account = Account(service)
        assert account.finished(action)["status"] == "completed"
        assert account.status(droplet) == "active"
        assert survivor.machines[droplet].tags == ("walled",)


def test_a_deletion_that_was_cut_short_is_finished(server: Server, tmp_path: Path) -> None:
    machines = MemoryMachines()
    with server.serving(tmp_path, machines) as service:
        droplet = Account(service).droplet()
        with service.cloud.backend.store.transaction() as db:
            # As the store stands while `Machines.destroy` runs.
            db.execute("UPDATE droplets SET deleting = 1 WHERE id = ?", (droplet,))
    with server.serving(tmp_path, machines, resume=False) as service, service.digitalocean() as client:
        assert service.cloud.machines_wanted() == []
        service.cloud.resume()
        assert client.get(f"/v2/droplets/{droplet}").status_code == 404
        assert machines.machines == {}


def test_serving_the_application_puts_the_firewalls_in_force(server: Server, tmp_path: Path) -> None:
    with server.serving(tmp_path) as service:
        droplet = Account(service).droplet()
    machines = MemoryMachines()
    cloud = build(tmp_path, machines, NETWORK)

    async def serve() -> None:
        async with cloud.app.router.lifespan_context(cloud.app):
            assert machines.firewalls == {droplet: None}

    asyncio.run(serve())
    cloud.close()


def test_a_store_of_another_version_is_not_touched(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "cloud.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(RuntimeError, match=r"cloud\.sqlite was written by another version of the lab \(99"):
        build(tmp_path, MemoryMachines(), NETWORK)
