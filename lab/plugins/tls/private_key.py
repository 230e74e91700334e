"""tls.PrivateKey."""

from __future__ import annotations

from typing import ClassVar

from lab.plugins.bridge import Wrapped, bookkeeping
from lab.plugins.resource import Call, Resource, State
from lab.plugins.schema import Field, Fields, Kind
from lab.plugins.tls import keys
from lab.plugins.values import Properties


class PrivateKey(Resource):
    """A key pair. Every change makes a new one; a refresh has nothing to read."""

    token = "tls:index/privateKey:PrivateKey"
    wrapped = Wrapped.FRAMEWORK
    meta = bookkeeping(schema_version=1)
    inputs: ClassVar[Fields] = {
        "algorithm": Field(required=True, replace=True, choices=keys.ALGORITHMS),
        "ecdsaCurve": Field(implied="P224", replace=True, choices=tuple(keys.CURVES)),
        "rsaBits": Field(kind=Kind.INTEGER, implied=2048, replace=True),
    }
    outputs: ClassVar[Fields] = {
        "privateKeyPem": Field(secret=True),
        "privateKeyPemPkcs8": Field(secret=True),
        "privateKeyOpenssh": Field(secret=True),
        "publicKeyPem": Field(),
        "publicKeyOpenssh": Field(),
        "publicKeyFingerprintMd5": Field(),
        "publicKeyFingerprintSha256": Field(),
    }

    def create(self, inputs: Properties, call: Call) -> State:
        """Make a key pair; its id is the SHA-1 of the public key."""
        curve, bits = inputs.get("ecdsaCurve", "P224"), inputs.get("rsaBits", 2048)
        key = keys.generate(inputs["algorithm"], curve=curve, bits=bits)
        outputs = {"algorithm": inputs["algorithm"], "ecdsaCurve": curve, "rsaBits": bits, **keys.private_forms(key)}
        return State(keys.identity(key), outputs | keys.public_forms(key), inputs)
