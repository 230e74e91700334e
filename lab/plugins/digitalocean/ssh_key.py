"""digitalocean.SshKey."""

from __future__ import annotations

from typing import ClassVar

from lab.plugins.bridge import Wrapped
from lab.plugins.diff import Differences
from lab.plugins.digitalocean.client import Client
from lab.plugins.refresh import refreshed
from lab.plugins.resource import Call, PluginError, Resource, State
from lab.plugins.schema import Field, Fields
from lab.plugins.values import Properties


class SshKey(Resource):
    """A public key of the account's, to be put on new droplets."""

    token = "digitalocean:index/sshKey:SshKey"
    wrapped = Wrapped.SDK
    autoname = True
    inputs: ClassVar[Fields] = {
        "name": Field(required=True),
        "publicKey": Field(required=True, replace=True, canonical=lambda key: str(key).strip()),
    }
    outputs: ClassVar[Fields] = {"fingerprint": Field()}

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(self, inputs: Properties, call: Call) -> State:
        """POST it, then read it (twice, as the official plugin does)."""
        body = {"name": inputs["name"], "public_key": inputs["publicKey"]}
        id_ = str(self._client.post("/v2/account/keys", body, call)["ssh_key"]["id"])
        self._look(id_, inputs, call)
        return self._look(id_, inputs, call)

    def read(self, id_: str, state: Properties, inputs: Properties, call: Call) -> State | None:
        """GET it."""
        found = self._client.find(f"/v2/account/keys/{id_}", call)
        if found is None:
            return None
        key = found["ssh_key"]
        outputs = {"name": key["name"], "publicKey": key["public_key"], "fingerprint": key["fingerprint"]}
        return State(id_, outputs, refreshed(self.inputs, inputs, outputs))

    def update(self, id_: str, state: Properties, inputs: Properties, changed: Differences, call: Call) -> Properties:
        """PUT the name, then read it."""
        self._client.put(f"/v2/account/keys/{id_}", {"name": inputs["name"]}, call)
        return self._look(id_, inputs, call).outputs

    def delete(self, id_: str, state: Properties, call: Call) -> None:
        """DELETE it."""
        self._client.remove("SSH key", f"/v2/account/keys/{id_}", call)

    def _look(self, id_: str, inputs: Properties, call: Call) -> State:
        found = self.read(id_, {}, inputs, call)
        if found is None:
            raise PluginError(f"SSH key {id_} is gone")
        return found
