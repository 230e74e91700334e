"""Kubeconfigs out of the PKI."""

from __future__ import annotations

import pulumi

from components.pki import Pki
from components.secret import secret
from model import manifests
from model.certificates import Authority, Leaf


def kubeconfig(*, pki: Pki, leaf: Leaf, cluster: str, server: str) -> pulumi.Output[str]:
    """The holder's kubeconfig, a secret; `server` is the API's URL."""
    credential = pki.leaf(leaf)
    return secret(
        pulumi.Output.all(pki.certificate(Authority.KUBERNETES), credential.certificate, credential.key).apply(
            lambda pem: manifests.kubeconfig(
                cluster=cluster, server=server, user=leaf.common_name, ca=pem[0], certificate=pem[1], key=pem[2]
            )
        )
    )
