"""The cloud's firewalls, by tag."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pulumi
import pulumi_digitalocean as digitalocean

from model.firewalls import Allow, Firewall
from model.roles import Role


class Firewalls(pulumi.ComponentResource):
    """Every firewall of the cluster; they exist before the first droplet.

    DigitalOcean applies them to a new droplet some seconds after its creation: until then, no host may rely on them.
    """

    def __init__(
        self,
        name: str,
        *,
        cluster: str,
        firewalls: Iterable[Firewall],
        scoped_tags: Mapping[Role, pulumi.Output[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:network:Firewalls", name, None, opts)

        def tags(roles: Iterable[Role]) -> list[pulumi.Output[str]]:
            return [scoped_tags[role] for role in roles]

        def inbound(allow: Allow) -> digitalocean.FirewallInboundRuleArgs:
            return digitalocean.FirewallInboundRuleArgs(
                protocol=allow.port.protocol,
                port_range=allow.port.range,
                source_addresses=[str(network) for network in allow.ranges] or None,
                source_tags=tags(allow.roles) or None,
            )

        def outbound(allow: Allow) -> digitalocean.FirewallOutboundRuleArgs:
            return digitalocean.FirewallOutboundRuleArgs(
                protocol=allow.port.protocol,
                port_range=allow.port.range,
                destination_addresses=[str(network) for network in allow.ranges] or None,
                destination_tags=tags(allow.roles) or None,
            )

        for firewall in firewalls:
            digitalocean.Firewall(
                f"firewall-{firewall.name}",
                name=f"{cluster}-{firewall.name}",
                tags=tags(firewall.roles),
                inbound_rules=[inbound(allow) for allow in firewall.inbound] or None,
                outbound_rules=[outbound(allow) for allow in firewall.outbound] or None,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})
