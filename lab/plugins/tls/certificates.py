"""Certificates and requests: names, usages, validity, signing."""

from __future__ import annotations

import hashlib
import secrets
import warnings
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.plugins.resource import PluginError
from lab.plugins.tls.keys import Key
from lab.plugins.values import Properties

KEY_USAGES: Final = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("cert_signing", "crl_signing", "encipher_only", "decipher_only"),
)
EXTENDED_KEY_USAGES: Final = {
    "any_extended": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    "server_auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client_auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code_signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email_protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "ipsec_end_system": x509.ObjectIdentifier("1.3.6.1.5.5.7.3.5"),
    "ipsec_tunnel": x509.ObjectIdentifier("1.3.6.1.5.5.7.3.6"),
    "ipsec_user": x509.ObjectIdentifier("1.3.6.1.5.5.7.3.7"),
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp_signing": ExtendedKeyUsageOID.OCSP_SIGNING,
    "microsoft_server_gated_crypto": x509.ObjectIdentifier("1.3.6.1.4.1.311.10.3.3"),
    "netscape_server_gated_crypto": x509.ObjectIdentifier("2.16.840.1.113730.4.1"),
    "microsoft_commercial_code_signing": x509.ObjectIdentifier("1.3.6.1.4.1.311.2.1.22"),
    "microsoft_kernel_code_signing": x509.ObjectIdentifier("1.3.6.1.4.1.311.61.1.1"),
}
USES: Final = tuple(sorted((*KEY_USAGES, *EXTENDED_KEY_USAGES)))

SUBJECT: Final = {
    "country": NameOID.COUNTRY_NAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "organizationalUnit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "locality": NameOID.LOCALITY_NAME,
    "province": NameOID.STATE_OR_PROVINCE_NAME,
    "streetAddresses": NameOID.STREET_ADDRESS,
    "postalCode": NameOID.POSTAL_CODE,
    "commonName": NameOID.COMMON_NAME,
    "serialNumber": NameOID.SERIAL_NUMBER,
    "emailAddress": NameOID.EMAIL_ADDRESS,
}
"""The subject's properties, in the order in which they are written."""


# The official plugin is written in Go, which takes names of any length: `system:node:` and a node's name have up to
# 75 characters, but X.509 allows 64 for a common name.
warnings.filterwarnings("ignore", message="Attribute's length must be")


def subject(properties: Properties | None) -> x509.Name:
    """Make a distinguished name."""
    attributes = []
    for name, oid in SUBJECT.items():
        value = (properties or {}).get(name) or []
        values = value if isinstance(value, list) else [value]
        attributes += [x509.NameAttribute(oid, each, _validate=False) for each in values]
    return x509.Name(attributes)


def alternative_names(properties: Properties) -> x509.SubjectAlternativeName | None:
    """Make the list of other names: dnsNames, ipAddresses, uris; None where there is none."""
    names: list[x509.GeneralName] = []
    try:
        names += [x509.DNSName(name) for name in properties.get("dnsNames") or []]
        names += [x509.IPAddress(ip_address(address)) for address in properties.get("ipAddresses") or []]
        names += [x509.UniformResourceIdentifier(uri) for uri in properties.get("uris") or []]
    except ValueError as error:
        raise PluginError(f"not usable in a certificate: {error}") from None
    return x509.SubjectAlternativeName(names) if names else None


def request(properties: Properties, key: Key) -> tuple[str, str]:
    """Make a certificate request: its id (the SHA-1 of it) and its PEM."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject(properties.get("subject")))
    if names := alternative_names(properties):
        builder = builder.add_extension(names, critical=not list(subject(properties.get("subject"))))
    made = builder.sign(key, _hash_for(key))
    der = made.public_bytes(Encoding.DER)
    return hashlib.sha1(der, usedforsecurity=False).hexdigest(), made.public_bytes(Encoding.PEM).decode()


def load_request(pem: str) -> x509.CertificateSigningRequest:
    """Read a request's PEM, and check its signature."""
    try:
        loaded = x509.load_pem_x509_csr(pem.encode())
    except ValueError as error:
        raise PluginError(f"certRequestPem: no certificate request in PEM: {error}") from None
    if not loaded.is_signature_valid:
        raise PluginError("certRequestPem: the request's signature is not valid")
    return loaded


def load_certificate(pem: str, name: str) -> x509.Certificate:
    """Read a certificate's PEM; `name` is the input that it stood in."""
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        raise PluginError(f"{name}: no certificate in PEM: {error}") from None


@dataclass(frozen=True, kw_only=True, slots=True)
class Issued:
    """A new certificate."""

    serial: int
    pem: str
    start: datetime
    end: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """Content of a certificate, except for the parts that all certificates have."""

    subject: x509.Name
    names: x509.SubjectAlternativeName | None
    public_key: CertificatePublicKeyTypes
    properties: Properties
    """allowedUses, validityPeriodHours, isCaCertificate, maxPathLength, setSubjectKeyId, setAuthorityKeyId."""


def issue(template: Template, key: Key, issuer: x509.Certificate | None, start: datetime) -> Issued:
    """Sign a certificate with the issuer's key, or with its own where there is no issuer; it is valid from `start`."""
    properties = template.properties
    end = start + timedelta(hours=properties["validityPeriodHours"])
    serial = secrets.randbits(128) or 1
    is_ca = bool(properties.get("isCaCertificate"))
    if is_ca and not list(template.subject):
        raise PluginError("subject: a certificate authority must have at least one distinguished name")
    own_id = _key_id(template.public_key)
    builder = (
        x509.CertificateBuilder(issuer.subject if issuer else template.subject, template.subject, template.public_key)
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(end)
    )
    for extension, critical in _usages(properties.get("allowedUses") or []):
        builder = builder.add_extension(extension, critical)
    builder = builder.add_extension(x509.BasicConstraints(is_ca, _path_length(properties, is_ca=is_ca)), critical=True)
    if is_ca or properties.get("setSubjectKeyId"):
        builder = builder.add_extension(own_id, critical=False)
    if authority := _authority(properties, issuer, own_id if is_ca or properties.get("setSubjectKeyId") else None):
        builder = builder.add_extension(authority, critical=False)
    if template.names:
        builder = builder.add_extension(template.names, critical=not list(template.subject))
    made = builder.sign(key, _hash_for(key))
    return Issued(serial=serial, pem=made.public_bytes(Encoding.PEM).decode(), start=start, end=end)


def _authority(
    properties: Properties, issuer: x509.Certificate | None, own_id: x509.SubjectKeyIdentifier | None
) -> x509.AuthorityKeyIdentifier | None:
    """Return the issuer's key id, if it has one; a self-signed certificate names itself only if asked to."""
    if issuer is None:
        if not properties.get("setAuthorityKeyId"):
            return None
        if own_id is None:
            raise PluginError("setAuthorityKeyId: needs setSubjectKeyId, or isCaCertificate")
        return x509.AuthorityKeyIdentifier(own_id.digest, None, None)
    try:
        found = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return None
    return x509.AuthorityKeyIdentifier(found.value.digest, None, None)


def _path_length(properties: Properties, *, is_ca: bool) -> int | None:
    length = properties.get("maxPathLength")
    return length if is_ca and length is not None and length >= 0 else None


def _usages(uses: list[str]) -> list[tuple[x509.ExtensionType, bool]]:
    extensions: list[tuple[x509.ExtensionType, bool]] = []
    if any(use in KEY_USAGES for use in uses):
        flags = {name: name in uses for name in KEY_USAGES}
        flags["key_cert_sign"], flags["crl_sign"] = flags.pop("cert_signing"), flags.pop("crl_signing")
        try:
            extensions.append((x509.KeyUsage(**flags), True))
        except ValueError as error:
            raise PluginError(f"allowedUses: {error}") from None
    if extended := [EXTENDED_KEY_USAGES[use] for use in uses if use in EXTENDED_KEY_USAGES]:
        extensions.append((x509.ExtendedKeyUsage(extended), False))
    return extensions


def _key_id(key: CertificatePublicKeyTypes) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key)


def _hash_for(key: Key) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None:
    """Choose the digest to sign with, as Go's x509 does."""
    match key:
        case ed25519.Ed25519PrivateKey():
            return None
        case ec.EllipticCurvePrivateKey(curve=ec.SECP384R1()):
            return hashes.SHA384()
        case ec.EllipticCurvePrivateKey(curve=ec.SECP521R1()):
            return hashes.SHA512()
    return hashes.SHA256()


def same_key(certificate: x509.Certificate, key: Key) -> bool:
    """True if the private key belongs to the certificate."""
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return certificate.public_key().public_bytes(*form) == key.public_key().public_bytes(*form)


def is_authority(certificate: x509.Certificate) -> bool:
    """True if the certificate is an authority's."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def requested_names(request: x509.CertificateSigningRequest) -> x509.SubjectAlternativeName | None:
    """Return the other names that a request asks for."""
    try:
        return request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
