"""Authorities, keys and certificates: every one a resource, every private key a secret."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pulumi
import pulumi_tls as tls

from model.certificates import CA_USES, Authority, Leaf


def ecdsa_key(name: str, opts: pulumi.ResourceOptions) -> tls.PrivateKey:
    """A P-256 key; the provider's own default, P-224, is refused by Go's TLS."""
    return tls.PrivateKey(name, algorithm="ECDSA", ecdsa_curve="P256", opts=opts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Credential:
    """A certificate and its private key, as PEM; `expires` is RFC 3339."""

    certificate: pulumi.Output[str]
    key: pulumi.Output[str]
    expires: pulumi.Output[str]


class Pki(pulumi.ComponentResource):
    """All authorities, all leaves, the service-account key and the keys for encryption at rest.

    It delivers nothing: a component that runs on a host asks for what that host may hold.
    """

    authorities: Mapping[Authority, Credential]
    leaves: Mapping[str, Credential]
    """By the leaf's name."""
    service_account: tls.PrivateKey
    encryption_keys: Mapping[str, pulumi.Output[str]]
    """Private keys (PEM) by the name of the encryption key that is made of them."""

    def __init__(
        self,
        name: str,
        *,
        leaves: Iterable[Leaf],
        cluster: str,
        ca_hours: int,
        leaf_hours: int,
        renew_hours: int,
        encryption_keys: Iterable[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:pki:Pki", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.authorities = {authority: self._authority(authority, cluster, ca_hours) for authority in Authority}
        self.leaves = {leaf.name: self._leaf(leaf, leaf_hours, renew_hours) for leaf in leaves}
        self.service_account = ecdsa_key("service-account", child)
        self.encryption_keys = {key: ecdsa_key(f"encryption-{key}", child).private_key_pem for key in encryption_keys}
        self.register_outputs({})

    def certificate(self, authority: Authority) -> pulumi.Output[str]:
        """An authority's certificate, which is no secret."""
        return self.authorities[authority].certificate

    def leaf(self, leaf: Leaf) -> Credential:
        """A holder's certificate and key."""
        return self.leaves[leaf.name]

    def expiries(self) -> dict[str, pulumi.Output[str]]:
        """When each certificate ends, by its name."""
        named = {**{str(authority): self.authorities[authority] for authority in Authority}, **self.leaves}
        return {name: credential.expires for name, credential in named.items()}

    def _authority(self, authority: Authority, cluster: str, hours: int) -> Credential:
        child = pulumi.ResourceOptions(parent=self)
        key = ecdsa_key(authority, child)
        # No early renewal: a new authority is a change of trust, which is made on purpose and not by the calendar.
        certificate = tls.SelfSignedCert(
            authority,
            private_key_pem=key.private_key_pem,
            subject=tls.SelfSignedCertSubjectArgs(common_name=authority, organization=cluster),
            is_ca_certificate=True,
            set_subject_key_id=True,
            validity_period_hours=hours,
            allowed_uses=list(CA_USES),
            opts=child,
        )
        return Credential(
            certificate=certificate.cert_pem, key=key.private_key_pem, expires=certificate.validity_end_time
        )

    def _leaf(self, leaf: Leaf, hours: int, renew_hours: int) -> Credential:
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
            validity_period_hours=hours,
            early_renewal_hours=renew_hours,
            allowed_uses=list(leaf.uses),
            opts=child,
        )
        return Credential(
            certificate=certificate.cert_pem, key=key.private_key_pem, expires=certificate.validity_end_time
        )
