"""A droplet with its DNS names and its host key, ready for the steps of its roles."""

from __future__ import annotations

from collections.abc import Iterable

import pulumi
import pulumi_command as command
import pulumi_digitalocean as digitalocean
import pulumi_tls as tls

from components.dns import DnsRecords, Record
from components.secret import FilledFile, ecdsa_key, secret
from model import ports
from model.files import HostFile, as_stdin
from model.releases import Download
from model.steps import first_steps, install
from model.topology import HostSpec

DIALS = 30
"""Attempts to connect: two minutes if the port refuses at once. A droplet is `active` well before its sshd answers,
both when it is new and after a resize. All steps share one limit, since a changed limit runs a step again."""
DROPLET_TIMEOUT = pulumi.CustomTimeouts(delete="10m")
"""Time limits; the provider's default of one minute is often too short (terraform-provider-digitalocean 1586)."""
STEP_TIMEOUT = pulumi.CustomTimeouts(create="40m", update="40m", delete="40m")
"""Longer than any step takes: each step has its own time limits on its host. The official plugin applies this one to
connecting only."""


class Host(pulumi.ComponentResource):
    """One host: droplet, names, host key, and the two steps after which everything else can begin.

    It knows the host's tags, but nothing else about the purpose of the host.
    """

    spec: HostSpec
    droplet: digitalocean.Droplet
    host_key: pulumi.Output[str]
    """Public host key in OpenSSH's format; every connection checks it."""
    ready: command.remote.Command

    def __init__(
        self,
        spec: HostSpec,
        *,
        region: str,
        image: str,
        zone_id: str,
        vpc_id: pulumi.Input[str],
        tags: Iterable[pulumi.Input[str]],
        deploy_key: tls.PrivateKey,
        ssh_key_fingerprint: pulumi.Input[str],
        ssh_ca_public_key: str | None,
        after: Iterable[pulumi.Input[pulumi.Resource]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:host:Host", spec.name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.spec = spec
        self._deploy_key = deploy_key
        bootstrap_key = ecdsa_key(f"{spec.name}-bootstrap", child)
        host_key = ecdsa_key(f"{spec.name}-host", child)
        self.host_key = host_key.public_key_openssh
        self.droplet = digitalocean.Droplet(
            spec.name,
            name=spec.droplet_name,
            region=region,
            image=image,
            size=spec.size,
            vpc_uuid=vpc_id,
            tags=list(tags),
            ssh_keys=[ssh_key_fingerprint],
            user_data=secret(bootstrap_key.private_key_openssh).apply(first_steps.user_data),
            # It gets SIGTERM first: services tell their clients, and finish what they were asked.
            graceful_shutdown=True,
            # A new deploy key must not rebuild the host: people log in through the SSH CA.
            # Its name is the host's identity, so two of one name never run side by side. The plugin would choose the
            # same; what must leave first stands beside it (`farewell`).
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=list(after),
                ignore_changes=["sshKeys"],
                custom_timeouts=DROPLET_TIMEOUT,
                delete_before_replace=True,
            ),
        )
        names = DnsRecords(
            spec.name,
            zone_id=zone_id,
            records=[
                Record(resource=spec.name, fqdn=spec.fqdn, address=self.public_address),
                Record(resource=f"{spec.name}-internal", fqdn=spec.private_name, address=self.private_address),
            ],
            opts=child,
        )
        identity = command.remote.Command(
            f"{spec.name}-identity",
            connection=self._connection(bootstrap_key.public_key_openssh, port=ports.SSH_BOOTSTRAP.number),
            create=first_steps.identity(),
            stdin=secret(host_key.private_key_openssh),
            # The bootstrap port is closed by then, so only a new droplet may run this step again.
            triggers=[self.droplet.id],
            opts=pulumi.ResourceOptions(
                parent=self,
                custom_timeouts=STEP_TIMEOUT,
                ignore_changes=["create", "stdin", "connection.privateKey", "connection.dialErrorLimit"],
            ),
        )
        self.ready = self.step(
            "host",
            create=first_steps.script(size=spec.size, overlay=spec.on_pod_network, ssh_ca_public_key=ssh_ca_public_key),
            parent=self,
            depends_on=[identity, names],
        )
        self.register_outputs({})

    @property
    def name(self) -> str:
        """Its name in the graph."""
        return self.spec.name

    @property
    def public_address(self) -> pulumi.Output[str]:
        """IPv4, for operators."""
        return self.droplet.ipv4_address

    @property
    def private_address(self) -> pulumi.Output[str]:
        """IPv4 in the VPC, for other hosts."""
        return self.droplet.ipv4_address_private

    def step(
        self,
        name: str,
        *,
        parent: pulumi.Resource,
        create: str | None = None,
        update: str | None = None,
        depends_on: Iterable[pulumi.Resource] = (),
        secrets: Iterable[FilledFile] = (),
        about: HostSpec | None = None,
    ) -> command.remote.Command:
        """Run a script on this host as root, with secret files on its stdin; `about` is the host that names the step.

        It runs again on another droplet, which may have the address of the last one: the droplet's id is on its stdin.
        """
        return command.remote.Command(
            f"{(about or self.spec).name}-{name}",
            connection=self._connection(self.host_key),
            create=create,
            update=update,
            stdin=_bundle(secrets, droplet=self.droplet.id),
            add_previous_output_in_env=False,
            opts=pulumi.ResourceOptions(parent=parent, depends_on=list(depends_on), custom_timeouts=STEP_TIMEOUT),
        )

    def farewell(
        self,
        name: str,
        *,
        on: Host,
        delete: str,
        parent: pulumi.Resource,
        create: str | None = None,
        depends_on: Iterable[pulumi.Input[pulumi.Resource]] = (),
        deleted_with: pulumi.Resource | None = None,
        secrets: Iterable[FilledFile] = (),
    ) -> command.remote.Command:
        """Run a `delete` script on another host, before this host's droplet is deleted or replaced.

        It is for what outlives the host, and is skipped if `deleted_with` is deleted too. Files on the host need none:
        they disappear with it, and a dead host could not run it. The state keeps the script, and the name of the host
        that runs it, but no address: that host may have another droplet by then.
        """
        files = list(secrets)
        return command.remote.Command(
            f"{self.name}-{name}",
            connection=on._connection(on.host_key, host=on.spec.fqdn),
            create=create,
            delete=delete,
            stdin=_bundle(files) if files else None,
            add_previous_output_in_env=False,
            opts=pulumi.ResourceOptions(
                parent=parent,
                depends_on=list(depends_on),
                deleted_with=deleted_with,
                replace_with=[self.droplet],
                delete_before_replace=True,
                custom_timeouts=STEP_TIMEOUT,
            ),
        )

    def ending(self, name: str, *, delete: str, parent: pulumi.Resource) -> command.remote.Command:
        """Run a `delete` script on this host if the settings no longer have the resource, but still the host.

        It is skipped if the droplet is deleted too, and a replaced droplet does not run it: the name leads to the host
        of the day.
        """
        return command.remote.Command(
            f"{self.name}-{name}",
            connection=self._connection(self.host_key, host=self.spec.fqdn),
            delete=delete,
            add_previous_output_in_env=False,
            opts=pulumi.ResourceOptions(parent=parent, deleted_with=self.droplet, custom_timeouts=STEP_TIMEOUT),
        )

    def install(
        self,
        name: str,
        *,
        directory: str,
        downloads: Iterable[Download],
        parent: pulumi.Resource,
        links: Iterable[str] = (),
    ) -> command.remote.Command:
        """Install release files on this host; running services are not changed."""
        return self.step(
            f"install-{name}",
            create=install.script(name=name, directory=directory, downloads=downloads, links=links),
            parent=parent,
            depends_on=[self.ready],
        )

    def _connection(
        self, host_key: pulumi.Output[str], *, host: pulumi.Input[str] | None = None, port: int | None = None
    ) -> command.remote.ConnectionArgs:
        return command.remote.ConnectionArgs(
            host=host or self.public_address,
            port=port,
            user="root",
            private_key=secret(self._deploy_key.private_key_openssh),
            host_key=host_key.apply(str.strip),
            dial_error_limit=DIALS,
        )


def _bundle(files: Iterable[FilledFile], *, droplet: pulumi.Input[str] | None = None) -> pulumi.Output[str]:
    """Write files as `put_bundle` reads them, below a line with the droplet's id."""
    files = list(files)

    def write(texts: list[str]) -> str:
        first, *contents = texts
        written = as_stdin(
            tuple(
                HostFile(path=file.path, content=_terminated(content), owner=file.owner)
                for file, content in zip(files, contents, strict=True)
            )
        )
        return f"# droplet {first}\n{written}" if droplet is not None else written

    texts: pulumi.Output[list[str]] = pulumi.Output.all(droplet or "", *(file.content for file in files))
    return (secret(texts) if files else texts).apply(write)


def _terminated(content: str) -> str:
    return content if content.endswith("\n") else f"{content}\n"
