"""DNS records: all parts of the cluster call each other by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_cloudflare as cloudflare

TTL_SECONDS = 60
"""Lowest TTL that Cloudflare accepts: a replaced host is found again within a minute."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """An A record; `resource` names it in the graph, since several may share one name in the zone."""

    resource: str
    fqdn: str
    address: pulumi.Input[str]
    after: Iterable[pulumi.Input[pulumi.Resource]] = field(default_factory=tuple)
    goes_before: pulumi.Resource | None = None
    """Droplet before whose replacement it is taken away; it is there again after `after`."""


class DnsRecords(pulumi.ComponentResource):
    """A records that belong together: a host's, or the API's."""

    records: Sequence[pulumi.Resource]

    def __init__(
        self, name: str, *, zone_id: str, records: Iterable[Record], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:dns:Names", name, None, opts)
        self.records = [
            cloudflare.DnsRecord(
                record.resource,
                zone_id=zone_id,
                name=record.fqdn,
                type="A",
                content=record.address,
                ttl=TTL_SECONDS,
                proxied=False,
                # A changed type or zone replaces the record, and two records of one name are refused.
                opts=pulumi.ResourceOptions(
                    parent=self,
                    depends_on=list(record.after),
                    delete_before_replace=True,
                    replace_with=[record.goes_before] if record.goes_before else None,
                ),
            )
            for record in records
        ]
        self.register_outputs({})
