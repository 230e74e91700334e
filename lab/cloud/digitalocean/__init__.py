"""DigitalOcean's v2 API, as far as the lab has what it speaks of."""

from __future__ import annotations

from lab.cloud.calls import Routes
from lab.cloud.digitalocean import actions, droplets, firewalls, keys, offerings, scopes, tags, vpcs

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
