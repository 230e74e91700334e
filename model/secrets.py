"""Secret files of a host, described by their content. The graph fills them in; this module has no keys."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from model.certificates import Authority, Leaf


@dataclass(frozen=True, slots=True)
class AuthorityCertificates:
    """Certificates of one or more authorities, one after another (PEM)."""

    authorities: tuple[Authority, ...]


@dataclass(frozen=True, slots=True)
class AuthorityKey:
    """The private key of an authority (PEM)."""

    authority: Authority


@dataclass(frozen=True, slots=True)
class LeafCertificate:
    """A certificate (PEM)."""

    leaf: Leaf


@dataclass(frozen=True, slots=True)
class LeafKey:
    """The private key of a certificate (PEM)."""

    leaf: Leaf


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """A kubeconfig with a certificate and its key; `server` is the API's URL."""

    leaf: Leaf
    server: str


@dataclass(frozen=True, slots=True)
class ServiceAccountKey:
    """The key that signs service accounts' tokens, or the public half, which verifies them (PEM)."""

    public: bool = False


@dataclass(frozen=True, slots=True)
class EncryptionConfiguration:
    """The API server's configuration of encryption at rest, with its keys."""


Content = (
    AuthorityCertificates
    | AuthorityKey
    | LeafCertificate
    | LeafKey
    | Kubeconfig
    | ServiceAccountKey
    | EncryptionConfiguration
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretFile:
    """A file that is sent on stdin; `owner` is `user:group`."""

    path: str
    content: Content
    owner: str = "root:root"
    restarts: bool = True
    """Restart its service when it changes."""


def authority(path: str, *authorities: Authority, owner: str = "root:root", restarts: bool = True) -> SecretFile:
    """File with the certificates of these authorities."""
    return SecretFile(path=path, content=AuthorityCertificates(authorities), owner=owner, restarts=restarts)


def pair(
    paths: tuple[str, str], leaf: Leaf, *, owner: str = "root:root", restarts: bool = True
) -> tuple[SecretFile, SecretFile]:
    """Files with a certificate and its key, at the first and the second path."""
    return (
        SecretFile(path=paths[0], content=LeafCertificate(leaf), owner=owner, restarts=restarts),
        SecretFile(path=paths[1], content=LeafKey(leaf), owner=owner, restarts=restarts),
    )


def leaves_in(files: Iterable[SecretFile]) -> tuple[Leaf, ...]:
    """All certificates that the files are made from, each once."""
    held = (file.content for file in files)
    return tuple(dict.fromkeys(each.leaf for each in held if isinstance(each, LeafCertificate | LeafKey | Kubeconfig)))
