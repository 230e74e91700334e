"""The part of DigitalOcean's v2 API that the lab supports."""

from __future__ import annotations

from lab.cloud.digitalocean import actions, droplets, firewalls, keys, offerings, scopes, tags, vpcs
from lab.cloud.messages import Routes

__all__ = ["ROUTES", "scopes"]

ROUTES: Routes = {
    **offerings.ROUTES,
    **keys.ROUTES,
    **tags.ROUTES,
    **vpcs.ROUTES,
    **actions.ROUTES,
    **droplets.ROUTES,
    **firewalls.ROUTES,
}
