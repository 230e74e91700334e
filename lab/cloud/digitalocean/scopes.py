"""Scope that each call needs, by the names of DigitalOcean's token page and published API."""

from __future__ import annotations

NOT_AUTHORIZED = "You are not authorized to perform this operation"
"""DigitalOcean's words for a token without the scope (digitalocean/doctl#1635)."""

ACTIONS = {"GET": "read", "POST": "create", "PUT": "update", "PATCH": "update", "DELETE": "delete"}
RESOURCES = {
    "/v2/account/keys": "ssh_key",
    "/v2/account": "account",
    "/v2/actions": "actions",
    "/v2/droplets": "droplet",
    "/v2/firewalls": "firewall",
    "/v2/images": "image",
    "/v2/regions": "regions",
    "/v2/sizes": "sizes",
    "/v2/tags": "tag",
    "/v2/vpcs": "vpc",
}
EXCEPTIONS = {
    ("GET", "/v2/sizes"): ("sizes:read", "regions:read"),
    ("GET", "/v2/droplets/{droplet}/firewalls"): ("firewall:read",),
    ("POST", "/v2/droplets/{droplet}/actions"): ("droplet:update",),
    ("POST", "/v2/droplets/actions"): ("droplet:update",),
    **{
        (method, f"/v2/firewalls/{{firewall}}/{part}"): ("firewall:update",)
        for method in ("POST", "DELETE")
        for part in ("tags", "droplets", "rules")
    },
}

ALL = frozenset(
    f"{resource}:{action}"
    for resource in RESOURCES.values()
    for action in (("read",) if resource in {"account", "actions", "regions", "sizes"} else set(ACTIONS.values()))
)
"""Every scope that some call of the lab asks for."""


def needed(method: str, path: str) -> tuple[str, ...]:
    """Name the scopes of a route, given by its template."""
    if (method, path) in EXCEPTIONS:
        return EXCEPTIONS[method, path]
    resource = next(name for prefix, name in RESOURCES.items() if path.startswith(prefix))
    return (f"{resource}:{ACTIONS[method]}",)
