"""The tls stand-in: keys and certificates as Go's library would make them, read back with another library."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
    load_ssh_private_key,
    load_ssh_public_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from lab.plugins import tls
from lab.plugins.resource import PluginError
from lab.plugins.tls.resources import CLOCK
from lab.plugins.values import UNKNOWN, Secret
from lab.tests.plugins.steps import Steps, bare

KEY = "tls:index/privateKey:PrivateKey"
REQUEST = "tls:index/certRequest:CertRequest"
SELF_SIGNED = "tls:index/selfSignedCert:SelfSignedCert"
SIGNED = "tls:index/locallySignedCert:LocallySignedCert"


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def plugin(clock: Clock) -> tls.TlsPlugin:
    return tls.plugin(clock)


def key_pem(plugin: tls.TlsPlugin, **inputs: Any) -> str:
    made = Steps(plugin, KEY)
    made.create(**({"algorithm": "ECDSA", "ecdsaCurve": "P256"} | inputs))
    return str(made.outputs["privateKeyPem"])


def authority(plugin: tls.TlsPlugin, **more: Any) -> Steps:
    made = Steps(plugin, SELF_SIGNED)
    made.create(
        **{
            "privateKeyPem": key_pem(plugin),
            "subject": {"commonName": "a CA", "organization": "triplane"},
            "validityPeriodHours": 1000,
            "isCaCertificate": True,
            "allowedUses": ["cert_signing", "crl_signing", "digital_signature"],
        }
        | more
    )
    return made


def request(plugin: tls.TlsPlugin, **more: Any) -> Steps:
    made = Steps(plugin, REQUEST)
    made.create(
        **{
            "privateKeyPem": key_pem(plugin),
            "subject": {"commonName": "system:node:a", "organization": "system:nodes"},
            "dnsNames": ["a.example.test", "*.example.test", "localhost"],
            "ipAddresses": ["127.0.0.1", "10.32.0.1"],
            "uris": ["spiffe://triplane/a"],
        }
        | more
    )
    return made


def leaf_inputs(ca: Steps, asked: Steps, **more: Any) -> dict[str, Any]:
    return {
        "certRequestPem": asked.outputs["certRequestPem"],
        "caCertPem": ca.outputs["certPem"],
        "caPrivateKeyPem": ca.inputs["privateKeyPem"],
        "validityPeriodHours": 100,
        "allowedUses": ["digital_signature", "key_encipherment", "server_auth", "client_auth"],
    } | more


def leaf(plugin: tls.TlsPlugin, ca: Steps, asked: Steps, **more: Any) -> Steps:
    made = Steps(plugin, SIGNED)
    made.create(**leaf_inputs(ca, asked, **more))
    return made


def parsed(steps: Steps) -> x509.Certificate:
    return x509.load_pem_x509_certificate(steps.outputs["certPem"].encode())


@pytest.mark.parametrize(
    ("inputs", "kind", "preamble"),
    [
        ({"algorithm": "ECDSA", "ecdsaCurve": "P256"}, ec.EllipticCurvePrivateKey, "EC PRIVATE KEY"),
        ({"algorithm": "ECDSA", "ecdsaCurve": "P384"}, ec.EllipticCurvePrivateKey, "EC PRIVATE KEY"),
        ({"algorithm": "RSA"}, rsa.RSAPrivateKey, "RSA PRIVATE KEY"),
        ({"algorithm": "ED25519"}, ed25519.Ed25519PrivateKey, "PRIVATE KEY"),
    ],
)
def test_all_forms_of_a_key_are_the_same_key(
    plugin: tls.TlsPlugin, inputs: dict[str, Any], kind: type, preamble: str
) -> None:
    made = Steps(plugin, KEY)
    made.create(**inputs)
    out = made.outputs
    assert out["privateKeyPem"].startswith(f"-----BEGIN {preamble}-----\n")
    assert out["privateKeyPemPkcs8"].startswith("-----BEGIN PRIVATE KEY-----\n")
    assert out["privateKeyOpenssh"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    privates = [
        load_pem_private_key(out["privateKeyPem"].encode(), None),
        load_pem_private_key(out["privateKeyPemPkcs8"].encode(), None),
        load_ssh_private_key(out["privateKeyOpenssh"].encode(), None),
    ]
    assert all(isinstance(each, kind) for each in privates)
    publics = [each.public_key() for each in privates]
    publics += [
        load_pem_public_key(out["publicKeyPem"].encode()),
        load_ssh_public_key(out["publicKeyOpenssh"].encode()),
    ]
    ders = {each.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for each in publics}
    assert len(ders) == 1
    assert made.id == hashlib.sha1(ders.pop()).hexdigest()
    assert out["publicKeyOpenssh"].endswith("\n")
    assert out["publicKeyFingerprintSha256"].startswith("SHA256:")
    assert len(out["publicKeyFingerprintMd5"].split(":")) == 16


def test_the_default_curve_is_the_one_that_ssh_and_go_refuse(plugin: tls.TlsPlugin) -> None:
    made = Steps(plugin, KEY)
    made.create(algorithm="ECDSA")
    key = load_pem_private_key(made.outputs["privateKeyPem"].encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(key.curve, ec.SECP224R1)
    assert made.outputs["ecdsaCurve"] == "P224"
    assert made.outputs["publicKeyOpenssh"] == made.outputs["privateKeyOpenssh"] == ""


def test_private_forms_are_secret_and_public_ones_are_not(plugin: tls.TlsPlugin) -> None:
    made = Steps(plugin, KEY).create(algorithm="ED25519")
    secret = {name for name, value in made.items() if isinstance(value, Secret)}
    assert secret == {"privateKeyPem", "privateKeyPemPkcs8", "privateKeyOpenssh"}
    assert "PRIVATE" not in repr(made)


def test_a_preview_of_a_key_knows_its_kind_and_nothing_else(plugin: tls.TlsPlugin) -> None:
    planned = bare(Steps(plugin, KEY).preview(algorithm="ECDSA", ecdsaCurve="P256"))
    assert planned.pop("algorithm") == "ECDSA"
    assert planned.pop("ecdsaCurve") == "P256"
    assert planned.pop("rsaBits") == 2048
    assert planned.pop("__meta") == '{"schema_version":"1"}'
    assert len(planned) == 8
    assert all(value is UNKNOWN for value in planned.values())


def test_an_authority_certificate_is_a_self_signed_ca(plugin: tls.TlsPlugin) -> None:
    ca = authority(plugin)
    certificate = parsed(ca)
    certificate.verify_directly_issued_by(certificate)
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical
    assert (basic.value.ca, basic.value.path_length) == (True, None)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert usage.value.crl_sign
    assert not usage.value.key_encipherment
    own = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
    assert certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value == own
    assert ca.id == str(certificate.serial_number)
    assert certificate.serial_number.bit_length() <= 128
    assert ca.outputs["keyAlgorithm"] == "ECDSA"
    assert ca.outputs["maxPathLength"] is None
    assert ca.outputs["earlyRenewalHours"] == 0
    assert ca.outputs["readyForRenewal"] is False


@pytest.mark.filterwarnings("ignore:Attribute's length must be")
def test_a_common_name_may_be_longer_than_x509_says_as_gos_may(plugin: tls.TlsPlugin) -> None:
    name = f"system:node:{'n' * 63}"
    ca = authority(plugin)
    certificate = parsed(
        leaf(plugin, ca, request(plugin, subject={"commonName": name, "organization": "system:nodes"}))
    )
    certificate.verify_directly_issued_by(parsed(ca))
    assert [each.value for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [name]


def test_a_signed_certificate_has_requested_names_and_usages(plugin: tls.TlsPlugin) -> None:
    ca = authority(plugin)
    asked = request(plugin)
    certificate = parsed(leaf(plugin, ca, asked))
    certificate.verify_directly_issued_by(parsed(ca))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.example.test", "*.example.test", "localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("127.0.0.1"), ip_address("10.32.0.1")]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://triplane/a"]
    subject = {attribute.oid: attribute.value for attribute in certificate.subject}
    assert subject == {NameOID.COMMON_NAME: "system:node:a", NameOID.ORGANIZATION_NAME: "system:nodes"}
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert usage.key_encipherment
    assert not usage.key_cert_sign
    assert not usage.content_commitment
    extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    key_id = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert key_id == parsed(ca).extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def test_a_chain_verifies_for_its_names_and_for_no_other(plugin: tls.TlsPlugin) -> None:
    ca = authority(plugin)
    certificate = parsed(leaf(plugin, ca, request(plugin)))

    def verify(name: str, root: Steps) -> None:
        builder = PolicyBuilder().store(Store([parsed(root)]))
        builder.build_server_verifier(x509.DNSName(name)).verify(certificate, [])

    verify("a.example.test", ca)
    verify("other.example.test", ca)  # by the wildcard
    with pytest.raises(x509.verification.VerificationError):
        verify("a.example.org", ca)
    with pytest.raises(x509.verification.VerificationError):
        verify("a.example.test", authority(plugin))


def test_validity_is_in_hours_from_now_and_written_in_rfc_3339(plugin: tls.TlsPlugin) -> None:
    made = leaf(plugin, authority(plugin), request(plugin), validityPeriodHours=43800)
    start, end = (datetime.fromisoformat(made.outputs[f"validity{which}Time"]) for which in ("Start", "End"))
    assert made.outputs["validityStartTime"].endswith("Z")
    assert end - start == timedelta(hours=43800)
    assert abs(start - datetime.now(UTC)) < timedelta(minutes=1)
    certificate = parsed(made)
    assert certificate.not_valid_before_utc == start.replace(microsecond=0)
    assert certificate.not_valid_after_utc == end.replace(microsecond=0)


def test_a_request_has_its_digest_as_id_and_a_secret_key(plugin: tls.TlsPlugin) -> None:
    made = Steps(plugin, REQUEST)
    outputs = made.create(privateKeyPem=key_pem(plugin), subject={"commonName": "x"})
    parsed_request = x509.load_pem_x509_csr(made.outputs["certRequestPem"].encode())
    assert made.id == hashlib.sha1(parsed_request.public_bytes(Encoding.DER)).hexdigest()
    assert isinstance(outputs["privateKeyPem"], Secret)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"subject": {"commonName": "b", "organization": "system:nodes"}}, "subject.commonName"),
        ({"dnsNames": ["a.example.test", "*.example.test", "127.0.0.1"]}, "dnsNames[2]"),
        ({"dnsNames": ["*.example.test", "a.example.test", "localhost"]}, "dnsNames[0]"),
        ({"ipAddresses": ["127.0.0.1"]}, "ipAddresses[1]"),
        ({"uris": None}, "uris"),
    ],
)
def test_any_change_of_a_request_replaces_it(plugin: tls.TlsPlugin, change: dict[str, Any], path: str) -> None:
    made = request(plugin)
    found = made.diff(**{name: value for name, value in (made.inputs | change).items() if name != "__defaults"})
    assert found[path] is True
    assert all(found.values())


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"validityPeriodHours": 101}, "validityPeriodHours"),
        ({"earlyRenewalHours": 5}, "earlyRenewalHours"),
        ({"allowedUses": ["digital_signature", "key_encipherment", "server_auth"]}, "allowedUses[3]"),
        ({"isCaCertificate": True}, "isCaCertificate"),
        ({"setSubjectKeyId": True}, "setSubjectKeyId"),
        ({"certRequestPem": "another"}, "certRequestPem"),
        ({"caCertPem": UNKNOWN}, "caCertPem"),
    ],
)
def test_any_change_of_a_certificate_replaces_it(plugin: tls.TlsPlugin, change: dict[str, Any], path: str) -> None:
    ca, asked = authority(plugin), request(plugin)
    made = leaf(plugin, ca, asked)
    assert made.diff(**leaf_inputs(ca, asked)) == {}
    assert made.diff(**leaf_inputs(ca, asked, **change)) == {path: True}


@pytest.mark.parametrize(
    ("given", "left_out"),
    [({"setSubjectKeyId": True}, True), ({"setSubjectKeyId": False}, False), ({"earlyRenewalHours": 3}, True)],
)
def test_leaving_an_input_out_means_its_default(
    plugin: tls.TlsPlugin, given: dict[str, Any], *, left_out: bool
) -> None:
    ca, asked = authority(plugin), request(plugin)
    made = leaf(plugin, ca, asked, **given)
    assert made.diff(**leaf_inputs(ca, asked)) == ({next(iter(given)): True} if left_out else {})


def test_a_plain_up_replaces_a_certificate_in_its_renewal_window(plugin: tls.TlsPlugin, clock: Clock) -> None:
    ca, asked = authority(plugin), request(plugin)
    more = {"validityPeriodHours": 100, "earlyRenewalHours": 10}
    made = leaf(plugin, ca, asked, **more)
    clock.now += timedelta(hours=89, minutes=59)
    assert made.diff(**leaf_inputs(ca, asked, **more)) == {}
    made.refresh()
    assert made.outputs["readyForRenewal"] is False
    clock.now += timedelta(minutes=2)
    assert made.diff(**leaf_inputs(ca, asked, **more)) == {"readyForRenewal": True}
    made.refresh()
    assert made.outputs["readyForRenewal"] is True


def test_a_variable_sets_the_certificates_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CLOCK, "-3600")
    plugin = tls.plugin()
    ca = authority(plugin)
    for made in (ca, leaf(plugin, ca, request(plugin))):
        begins = parsed(made).not_valid_before_utc
        assert timedelta(minutes=59) < datetime.now(UTC) - begins < timedelta(minutes=61)


def test_a_window_as_long_as_the_life_replaces_in_every_run(plugin: tls.TlsPlugin, clock: Clock) -> None:
    ca, asked = authority(plugin), request(plugin)
    more = {"validityPeriodHours": 100, "earlyRenewalHours": 100}
    made = leaf(plugin, ca, asked, **more)
    clock.now = datetime.now(UTC)
    assert made.diff(**leaf_inputs(ca, asked, **more)) == {"readyForRenewal": True}


@pytest.mark.parametrize(
    ("token", "inputs", "complaint"),
    [
        (KEY, {"algorithm": "DSA"}, "algorithm: must be one of RSA, ECDSA, ED25519"),
        (KEY, {"algorithm": "ECDSA", "ecdsaCurve": "P25"}, "ecdsaCurve: must be one of P224, P256, P384, P521"),
        (KEY, {}, "algorithm: required, but missing"),
        (KEY, {"algorithm": "RSA", "bits": 4096}, "bits: unknown property; known here are algorithm, ecdsaCurve"),
        (REQUEST, {"privateKeyPem": "x", "subject": {"cn": "x"}}, "subject.cn: unknown property"),
        (SELF_SIGNED, {"privateKeyPem": "x", "validityPeriodHours": -1, "allowedUses": []}, "must be at least 0"),
        (
            SELF_SIGNED,
            {"privateKeyPem": "x", "validityPeriodHours": 1, "allowedUses": ["signing"]},
            "allowedUses[0]: must be one of any_extended, cert_signing",
        ),
    ],
)
def test_bad_inputs_are_named(plugin: tls.TlsPlugin, token: str, inputs: dict[str, Any], complaint: str) -> None:
    assert any(complaint in reason for reason in Steps(plugin, token).failures(**inputs))


def test_errors_in_keys_do_not_show_them(plugin: tls.TlsPlugin) -> None:
    pem = key_pem(plugin)
    broken = pem.replace("A", "!", 3)
    with pytest.raises(PluginError, match="privateKeyPem: no usable private key") as raised:
        Steps(plugin, REQUEST).create(privateKeyPem=broken)
    assert pem.splitlines()[1][:16] not in str(raised.value)


def test_a_key_of_another_authority_is_refused(plugin: tls.TlsPlugin) -> None:
    ca, other, asked = authority(plugin), authority(plugin), request(plugin)
    with pytest.raises(PluginError, match="not the key of the certificate in caCertPem"):
        leaf(plugin, ca, asked, caPrivateKeyPem=other.inputs["privateKeyPem"])


def test_signing_with_what_is_no_authority_warns(plugin: tls.TlsPlugin) -> None:
    made = leaf(plugin, authority(plugin, isCaCertificate=False), request(plugin))
    assert any("not one of an authority" in line for line in made.said)
