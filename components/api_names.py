"""The API's names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pulumi

from components.dns import Record
from components.host import Host
from components.rolling import waits_for
from components.services import Gates
from model.cluster import Cluster


def api_records(cluster: Cluster, masters: Sequence[Host], apiservers: Gates, uninstalls: Gates) -> Iterable[Record]:
    """DNS records of the API: one for each master, made when its API server is ready, and gone before that one stops.

    On a first `up`, the first master's records do not wait for its API server: a resolver that asks for a name before
    it exists may cache "no such name" for half an hour.
    """
    topology = cluster.topology
    for host in masters:
        # Without its API server's step as well: what an earlier `up` left in the state decides what goes before what.
        after: list[pulumi.Input[pulumi.Resource]] = [uninstalls[host.name]]
        if host is not masters[0] or cluster.past.exists:
            after.append(waits_for(apiservers[host.name]))
        for resource, fqdn, address in (
            ("api", topology.api_name, host.public_address),
            ("api-internal", topology.api_private_name, host.private_address),
        ):
            yield Record(
                resource=f"{resource}-{host.name}", fqdn=fqdn, address=address, after=after, goes_before=host.droplet
            )
