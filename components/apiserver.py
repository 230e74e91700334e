"""The API servers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network

import pulumi

from components.host import Host, SecretFile
from components.pki import Pki
from model import certificates, manifests, paths
from model.certificates import Authority
from model.releases import Releases
from model.steps import apiserver
from model.topology import Topology


class Apiservers(pulumi.ComponentResource):
    """kube-apiserver on every master, in a chain: one is ready before the next goes away."""

    ready: Mapping[str, pulumi.Resource]
    """By the node's name: that master's API server answers."""

    def __init__(
        self,
        name: str,
        *,
        hosts: Iterable[Host],
        topology: Topology,
        releases: Releases,
        pki: Pki,
        services: IPv4Network,
        api_port: int,
        authorization_mode: str,
        extra_flags: Mapping[str, str],
        etcd: pulumi.Resource,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:kubernetes:Apiservers", name, None, opts)
        encryption = pulumi.Output.all(**pki.encryption_keys).apply(_encryption)
        ready: dict[str, pulumi.Resource] = {}
        previous = etcd
        for host in hosts:
            installed = host.install(
                apiserver.NAME,
                directory=releases.directory("kubernetes"),
                downloads=[releases.download("kubernetes", apiserver.NAME)],
                parent=self,
            )
            previous = ready[host.node.name] = host.step(
                apiserver.NAME,
                create=apiserver.script(
                    topology=topology,
                    services=services,
                    api_port=api_port,
                    authorization_mode=authorization_mode,
                    version=releases.versions["kubernetes"],
                    extra=extra_flags,
                ),
                secrets=[*_secrets(host, pki), SecretFile(paths.ENCRYPTION, encryption)],
                parent=self,
                depends_on=[installed, previous],
            )
        self.ready = ready
        self.register_outputs({})


def _encryption(private_keys: dict[str, str]) -> str:
    return manifests.encryption_configuration(
        [(name, manifests.encryption_secret(private_key)) for name, private_key in private_keys.items()]
    )


def _secrets(host: Host, pki: Pki) -> list[SecretFile]:
    cluster_signing = pki.certificate(Authority.CLUSTER_SIGNING)
    files = [
        SecretFile(apiserver.CA, pki.certificate(Authority.KUBERNETES)),
        SecretFile(apiserver.CLUSTER_SIGNING_CA, cluster_signing),
        SecretFile(apiserver.CLIENT_CA, pulumi.Output.concat(pki.certificate(Authority.KUBERNETES), cluster_signing)),
        SecretFile(apiserver.FRONT_PROXY_CA, pki.certificate(Authority.FRONT_PROXY)),
        SecretFile(apiserver.ETCD_CA, pki.certificate(Authority.ETCD_SERVER)),
        SecretFile(apiserver.SERVICE_ACCOUNT_PUBLIC, pki.service_account.public_key_pem),
        SecretFile(apiserver.SERVICE_ACCOUNT_KEY, pki.service_account.private_key_pem),
    ]
    for pair, leaf in (
        (apiserver.SERVING, f"apiserver-{host.node.name}"),
        (apiserver.ETCD_CLIENT, certificates.apiserver_etcd_client(host.node).name),
        (apiserver.KUBELET_CLIENT, certificates.apiserver_kubelet_client(host.node).name),
        (apiserver.FRONT_PROXY_CLIENT, certificates.front_proxy_client(host.node).name),
    ):
        credential = pki.leaves[leaf]
        files += [SecretFile(pair[0], credential.certificate), SecretFile(pair[1], credential.key)]
    return files
