"""The private network and the tags that firewalls select by."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network

import pulumi
import pulumi_digitalocean as digitalocean

from model.roles import Role
from model.topology import Topology


class Network(pulumi.ComponentResource):
    """The cluster's VPC, and two tags for each role: the role's own tag, and one of this cluster alone.

    Roles without hosts have tags too. It makes no firewall: firewalls come after the tags and before the droplets.
    """

    vpc: pulumi.Resource
    """Deleted only with the whole cluster."""
    vpc_id: pulumi.Output[str]
    role_tags: Mapping[Role, pulumi.Output[str]]
    scoped_tags: Mapping[Role, pulumi.Output[str]]

    def __init__(
        self,
        name: str,
        *,
        topology: Topology,
        region: str,
        vpc_cidr: IPv4Network,
        protect: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:network:Network", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        vpc = digitalocean.Vpc(
            "vpc",
            name=topology.cluster,
            region=region,
            ip_range=str(vpc_cidr),
            # DigitalOcean counts deleted droplets for some more minutes (terraform-provider-digitalocean 455, 488), so
            # the deletion needs time. By default the plugin deletes a replaced network first, and every droplet in it
            # before that. Here it requests the new network first: the API refuses its name, and nothing is lost.
            opts=pulumi.ResourceOptions(
                parent=self,
                custom_timeouts=pulumi.CustomTimeouts(delete="10m"),
                delete_before_replace=False,
                protect=protect,
            ),
        )
        vpc.default.apply(lambda default: _warn_of_default(default, region=region))
        self.vpc = vpc
        self.vpc_id = vpc.id
        self.role_tags = {role: digitalocean.Tag(f"tag-{role}", name=str(role), opts=child).name for role in Role}
        self.scoped_tags = {
            role: digitalocean.Tag(f"tag-{topology.scoped_tag(role)}", name=topology.scoped_tag(role), opts=child).name
            for role in Role
        }
        self.register_outputs({"vpc_id": self.vpc_id})


def _warn_of_default(default: bool | None, *, region: str) -> None:  # noqa: FBT001 - an output of the VPC's
    """Say that the cloud made the cluster's VPC its region's default, as it does with the first one of a region."""
    if default:
        pulumi.log.warn(
            f"the cluster's VPC is the account's default in {region}, because there was none before: other droplets "
            f"may land in it, and `pulumi destroy` cannot delete it. Give the region another: doctl vpcs create "
            f"--name default-{region} --region {region}, then doctl vpcs update ID_OF_THAT --default=true, and pulumi "
            f"refresh"
        )
