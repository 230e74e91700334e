"""tls.CertRequest, tls.SelfSignedCert, tls.LocallySignedCert."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from lab.plugins.bridge import Wrapped
from lab.plugins.diff import Change, Difference
from lab.plugins.resource import Call, PluginError, Resource, State
from lab.plugins.schema import Failure, Field, Fields, Kind
from lab.plugins.tls import certificates, keys
from lab.plugins.tls.certificates import Issued, Template
from lab.plugins.values import Properties, known

Clock = Callable[[], datetime]

CLOCK = "TRIPLANE_LAB_TLS_CLOCK"
"""Variable with seconds that this plugin's clock is ahead: a test has certificates that end soon."""

STRINGS = Field(kind=Kind.LIST, items=Field(), replace=True)
FLAG = Field(kind=Kind.BOOLEAN, implied=False, replace=True)

SUBJECT = Field(
    kind=Kind.OBJECT,
    replace=True,
    fields={name: Field() for name in certificates.SUBJECT} | {"streetAddresses": Field(kind=Kind.LIST, items=Field())},
)

NAMES: Fields = {"subject": SUBJECT, "dnsNames": STRINGS, "ipAddresses": STRINGS, "uris": STRINGS}

PEM = Field(required=True, replace=True, canonical=lambda pem: str(pem).strip())
SECRET_PEM = Field(replace=True, secret=True, canonical=lambda pem: str(pem).strip())


def _key(name: str) -> Fields:
    """Return the inputs for a private key: the key itself, or a write-only key with a number that shows a change."""
    return {
        name: SECRET_PEM,
        f"{name}Wo": Field(secret=True),
        f"{name}WoVersion": Field(kind=Kind.INTEGER, replace=True),
    }


def _key_failures(inputs: Properties, name: str) -> list[Failure]:
    for other in (f"{name}Wo", f"{name}WoVersion"):
        if inputs.get(other) is not None:
            return [Failure(other, f"{other}: not in this stand-in for the tls plugin; use the official one")]
    if inputs.get(name) is None:
        return [Failure(name, f"{name}: one of {name}, {name}Wo must be set")]
    return []


def _at_least(least: int) -> Callable[[object], str | None]:
    return lambda value: None if isinstance(value, int) and value >= least else f"must be at least {least}"


VALIDITY: Fields = {
    "validityPeriodHours": Field(kind=Kind.INTEGER, required=True, replace=True, rule=_at_least(0)),
    "earlyRenewalHours": Field(kind=Kind.INTEGER, implied=0, replace=True, rule=_at_least(0)),
    "allowedUses": Field(kind=Kind.LIST, items=Field(choices=certificates.USES), required=True, replace=True),
    "isCaCertificate": FLAG,
    "maxPathLength": Field(kind=Kind.INTEGER, computed=True, replace=True, rule=_at_least(-1)),
    "setSubjectKeyId": FLAG,
}

ISSUED: Fields = {
    "certPem": Field(),
    "readyForRenewal": Field(kind=Kind.BOOLEAN),
    "validityStartTime": Field(),
    "validityEndTime": Field(),
}


def now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC) + timedelta(seconds=int(os.environ.get(CLOCK, "0")))


class CertRequest(Resource):
    """A certificate request. Every change makes a new one."""

    token = "tls:index/certRequest:CertRequest"
    wrapped = Wrapped.FRAMEWORK
    inputs: ClassVar[Fields] = {**NAMES, **_key("privateKeyPem")}
    outputs: ClassVar[Fields] = {"certRequestPem": Field(), "keyAlgorithm": Field()}

    def validate(self, inputs: Properties) -> list[Failure]:
        """Find a key that is missing, or that comes in a form that this stand-in does not support."""
        return _key_failures(inputs, "privateKeyPem")

    def create(self, inputs: Properties, call: Call) -> State:
        """Make a request; its id is its SHA-1."""
        key = keys.load(inputs["privateKeyPem"], "privateKeyPem")
        id_, pem = certificates.request(inputs, key)
        outputs = {**inputs, "certRequestPem": pem, "keyAlgorithm": keys.algorithm_of(key)}
        return State(id_, outputs, inputs)


class _Certificate(Resource):
    """Base of both kinds of certificate: they expire, and are replaced before that."""

    wrapped = Wrapped.FRAMEWORK

    def __init__(self, clock: Clock = now) -> None:
        self._clock = clock

    def differences(self, state: Properties) -> dict[str, Difference]:
        """Replace the certificate once it is in its renewal window."""
        return {"readyForRenewal": Difference(Change.UPDATE, replace=True)} if self._is_due(state) else {}

    def read(self, id_: str, state: Properties, inputs: Properties, call: Call) -> State:
        """Tell whether it has to be renewed by now; all else is in the state."""
        if not state:
            raise PluginError("a certificate cannot be imported")
        return State(id_, state | {"readyForRenewal": True} if self._is_due(state) else state, inputs)

    def _is_due(self, state: Properties) -> bool:
        end = state.get("validityEndTime")
        if not isinstance(end, str) or not known(state.get("earlyRenewalHours")):
            return False
        return self._clock() >= _parse(end) - timedelta(hours=state.get("earlyRenewalHours") or 0)

    def _state(self, inputs: Properties, issued: Issued, more: Properties) -> State:
        outputs = {
            **inputs,
            **more,
            "certPem": issued.pem,
            "readyForRenewal": False,
            "validityStartTime": _format(issued.start),
            "validityEndTime": _format(issued.end),
        }
        return State(str(issued.serial), outputs, inputs)


class SelfSignedCert(_Certificate):
    """A certificate signed by its own key; mostly that of a certificate authority."""

    token = "tls:index/selfSignedCert:SelfSignedCert"
    inputs: ClassVar[Fields] = {**NAMES, **VALIDITY, "setAuthorityKeyId": FLAG, **_key("privateKeyPem")}
    outputs: ClassVar[Fields] = {**ISSUED, "keyAlgorithm": Field()}

    def validate(self, inputs: Properties) -> list[Failure]:
        """Find a key that is missing, or that comes in a form that this stand-in does not support."""
        return _key_failures(inputs, "privateKeyPem")

    def create(self, inputs: Properties, call: Call) -> State:
        """Sign one; its id is its serial number."""
        key = keys.load(inputs["privateKeyPem"], "privateKeyPem")
        template = Template(
            subject=certificates.subject(inputs.get("subject")),
            names=certificates.alternative_names(inputs),
            public_key=key.public_key(),
            properties=inputs,
        )
        return self._state(
            inputs, certificates.issue(template, key, None, self._clock()), {"keyAlgorithm": keys.algorithm_of(key)}
        )


class LocallySignedCert(_Certificate):
    """A certificate signed by an authority's key, for a request."""

    token = "tls:index/locallySignedCert:LocallySignedCert"
    inputs: ClassVar[Fields] = {
        **VALIDITY,
        "certRequestPem": PEM,
        "caCertPem": PEM,
        **_key("caPrivateKeyPem"),
    }
    outputs: ClassVar[Fields] = {**ISSUED, "caKeyAlgorithm": Field()}

    def validate(self, inputs: Properties) -> list[Failure]:
        """Find a key that is missing, or that comes in a form that this stand-in does not support."""
        return _key_failures(inputs, "caPrivateKeyPem")

    def create(self, inputs: Properties, call: Call) -> State:
        """Sign one; its id is its serial number."""
        request = certificates.load_request(inputs["certRequestPem"])
        key = keys.load(inputs["caPrivateKeyPem"], "caPrivateKeyPem")
        issuer = certificates.load_certificate(inputs["caCertPem"], "caCertPem")
        if not certificates.same_key(issuer, key):
            raise PluginError("caPrivateKeyPem: not the key of the certificate in caCertPem")
        if not certificates.is_authority(issuer):
            call.warn("caCertPem: the certificate is not one of an authority; what it signs may be refused")
        template = Template(
            subject=request.subject,
            names=certificates.requested_names(request),
            public_key=request.public_key(),
            properties=inputs,
        )
        return self._state(
            inputs, certificates.issue(template, key, issuer, self._clock()), {"caKeyAlgorithm": keys.algorithm_of(key)}
        )


def _format(time: datetime) -> str:
    """Write a time as Go does: RFC 3339, as many digits of the second as there are, Z for UTC."""
    text = time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return f"{text}Z"


def _parse(text: str) -> datetime:
    return datetime.fromisoformat(text)
