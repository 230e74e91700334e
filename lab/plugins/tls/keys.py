"""Key pairs and the forms that they are written in."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from lab.plugins.resource import PluginError

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

ALGORITHMS: Final = ("RSA", "ECDSA", "ED25519")
CURVES: Final[dict[str, ec.EllipticCurve]] = {
    "P224": ec.SECP224R1(),
    "P256": ec.SECP256R1(),
    "P384": ec.SECP384R1(),
    "P521": ec.SECP521R1(),
}


def generate(algorithm: str, *, curve: str, bits: int) -> Key:
    """Make a key."""
    match algorithm:
        case "RSA":
            return rsa.generate_private_key(public_exponent=65537, key_size=bits)
        case "ECDSA":
            return ec.generate_private_key(CURVES[curve])
    return ed25519.Ed25519PrivateKey.generate()


def load(pem: str, name: str) -> Key:
    """Read a private key's PEM; `name` is the input that it stood in."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise PluginError(f"{name}: no usable private key in PEM ({type(error).__name__})") from None
    if not isinstance(key, Key):
        raise PluginError(f"{name}: a key of an unsupported kind; use one of {', '.join(ALGORITHMS)}")
    return key


def algorithm_of(key: Key) -> str:
    """Name a key's algorithm."""
    match key:
        case rsa.RSAPrivateKey():
            return "RSA"
        case ec.EllipticCurvePrivateKey():
            return "ECDSA"
    return "ED25519"


def identity(key: Key) -> str:
    """Return the SHA-1 of the public key, which is a key's id."""
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha1(der, usedforsecurity=False).hexdigest()


def private_forms(key: Key) -> dict[str, str]:
    """Write a private key in all the forms that the plugin gives out."""
    traditional = (
        PrivateFormat.PKCS8 if isinstance(key, ed25519.Ed25519PrivateKey) else PrivateFormat.TraditionalOpenSSL
    )
    return {
        "privateKeyPem": _private(key, traditional),
        "privateKeyPemPkcs8": _private(key, PrivateFormat.PKCS8),
        "privateKeyOpenssh": _private(key, PrivateFormat.OpenSSH) if _has_openssh_form(key) else "",
    }


def public_forms(key: Key) -> dict[str, str]:
    """Write a public key in all the forms that the plugin gives out."""
    public = key.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    if not _has_openssh_form(key):
        openssh = md5 = sha256 = ""
    else:
        line = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        blob = base64.b64decode(line.split()[1])
        openssh = f"{line}\n"
        md5 = hashlib.md5(blob, usedforsecurity=False).digest().hex(":")
        sha256 = "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return {
        "publicKeyPem": pem,
        "publicKeyOpenssh": openssh,
        "publicKeyFingerprintMd5": md5,
        "publicKeyFingerprintSha256": sha256,
    }


def _private(key: Key, form: PrivateFormat) -> str:
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


def _has_openssh_form(key: Key) -> bool:
    """True if OpenSSH supports such keys: it does not support P-224."""
    return not (isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP224R1))
