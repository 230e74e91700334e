"""Authorities, keys and certificates: each is a resource, and each private key is a secret."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pulumi
import pulumi_tls as tls

from components.secret import FilledFile, ecdsa_key, secret
from model import documents
from model.certificates import CA_USES, Authority, Leaf
from model.cluster import Cluster
from model.expiry import Lifetimes
from model.secrets import (
    AuthorityCertificates,
    AuthorityKey,
    Content,
    EncryptionConfiguration,
    Kubeconfig,
    LeafCertificate,
    LeafKey,
    SecretFile,
    ServiceAccountKey,
)
from model.services.kube_apiserver import encryption_configuration, encryption_secret
from model.services.registry import leaves


@dataclass(frozen=True, kw_only=True, slots=True)
class Credential:
    """A certificate and its private key, as PEM; `expires` is RFC 3339."""

    certificate: pulumi.Output[str]
    key: pulumi.Output[str]
    expires: pulumi.Output[str]


class Pki(pulumi.ComponentResource):
    """All authorities, all leaves, the service-account key and the keys for encryption at rest.

    It delivers nothing: a component that runs on a host asks for the files that this host may have.
    """

    authorities: Mapping[Authority, Credential]
    leaves: Mapping[str, Credential]
    """Credentials by the certificate's name."""
    service_account: tls.PrivateKey
    encryption_keys: Mapping[str, pulumi.Output[str]]
    """Private keys (PEM) by the name of the encryption key that is derived from them."""

    def __init__(
        self,
        name: str,
        cluster: Cluster,
        *,
        lifetimes: Lifetimes,
        encryption_keys: Iterable[str],
        protect: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:pki:Pki", name, None, opts)
        # Nobody can make these keys again, and what they signed or wrote is worth nothing without them.
        self._kept = pulumi.ResourceOptions(parent=self, protect=protect)
        self.authorities = {authority: self._authority(authority, cluster.name, lifetimes) for authority in Authority}
        self.leaves = {leaf.name: self._leaf(leaf, lifetimes) for leaf in leaves(cluster)}
        self.service_account = ecdsa_key("service-account", self._kept)
        self.encryption_keys = {
            key: ecdsa_key(f"encryption-{key}", self._kept).private_key_pem for key in encryption_keys
        }
        self.register_outputs({})

    def certificate(self, authority: Authority) -> pulumi.Output[str]:
        """An authority's certificate, which is not a secret."""
        return self.authorities[authority].certificate

    def files(self, files: Iterable[SecretFile], cluster: Cluster) -> list[FilledFile]:
        """Fill in secret files."""
        return [FilledFile(file.path, self._content(file.content, cluster), file.owner) for file in files]

    def kubeconfig(self, holder: Kubeconfig, cluster: Cluster) -> pulumi.Output[str]:
        """A holder's kubeconfig, as a secret."""
        leaf = self.leaves[holder.leaf.name]
        return secret(
            pulumi.Output.all(self.certificate(Authority.KUBERNETES), leaf.certificate, leaf.key).apply(
                lambda pem: documents.kubeconfig(
                    cluster=cluster.name,
                    server=holder.server,
                    user=holder.leaf.common_name,
                    ca=pem[0],
                    certificate=pem[1],
                    key=pem[2],
                )
            )
        )

    def _content(  # noqa: PLR0911 - one for each kind
        self, content: Content, cluster: Cluster
    ) -> pulumi.Input[str]:
        match content:
            case AuthorityCertificates(authorities):
                certificates = [self.certificate(authority) for authority in authorities]
                return certificates[0] if len(certificates) == 1 else pulumi.Output.concat(*certificates)
            case AuthorityKey(authority):
                return self.authorities[authority].key
            case LeafCertificate(leaf):
                return self.leaves[leaf.name].certificate
            case LeafKey(leaf):
                return self.leaves[leaf.name].key
            case Kubeconfig():
                return self.kubeconfig(content, cluster)
            case ServiceAccountKey(public):
                return self.service_account.public_key_pem if public else self.service_account.private_key_pem
            case EncryptionConfiguration():
                return pulumi.Output.all(**self.encryption_keys).apply(_encryption)

    def expiries(self) -> dict[str, pulumi.Output[str]]:
        """Expiry of each certificate, by its name."""
        named = {**{str(authority): self.authorities[authority] for authority in Authority}, **self.leaves}
        return {name: credential.expires for name, credential in named.items()}

    def _authority(self, authority: Authority, cluster: str, lifetimes: Lifetimes) -> Credential:
        child = pulumi.ResourceOptions(parent=self)
        key = ecdsa_key(authority, self._kept)
        # Renewed with its key and its name, so that what trusts the old certificate trusts the leaves of the new one,
        # and the other way round. A new key is made on purpose only.
        certificate = tls.SelfSignedCert(
            authority,
            private_key_pem=key.private_key_pem,
            subject=tls.SelfSignedCertSubjectArgs(common_name=authority, organization=cluster),
            is_ca_certificate=True,
            set_subject_key_id=True,
            validity_period_hours=lifetimes.ca_hours,
            early_renewal_hours=lifetimes.ca_renew_hours,
            allowed_uses=list(CA_USES),
            opts=child,
        )
        return Credential(
            certificate=certificate.cert_pem, key=key.private_key_pem, expires=certificate.validity_end_time
        )

    def _leaf(self, leaf: Leaf, lifetimes: Lifetimes) -> Credential:
        child = pulumi.ResourceOptions(parent=self)
        key = ecdsa_key(leaf.name, child)
        request = tls.CertRequest(
            leaf.name,
            private_key_pem=key.private_key_pem,
            subject=tls.CertRequestSubjectArgs(common_name=leaf.common_name, organization=leaf.organization),
            dns_names=list(leaf.dns_names) or None,
            ip_addresses=[str(address) for address in leaf.addresses] or None,
            opts=child,
        )
        authority = self.authorities[leaf.authority]
        certificate = tls.LocallySignedCert(
            leaf.name,
            cert_request_pem=request.cert_request_pem,
            ca_cert_pem=authority.certificate,
            ca_private_key_pem=authority.key,
            validity_period_hours=lifetimes.leaf_hours,
            early_renewal_hours=lifetimes.renew_hours,
            allowed_uses=list(leaf.uses),
            opts=child,
        )
        return Credential(
            certificate=certificate.cert_pem, key=key.private_key_pem, expires=certificate.validity_end_time
        )


def _encryption(private_keys: dict[str, str]) -> str:
    return encryption_configuration([(name, encryption_secret(key)) for name, key in private_keys.items()])
