"""Rules for droplets, their user data, and DNS."""

from __future__ import annotations

from collections.abc import Iterator

from model.roles import Role
from policy.resource import Intent, Resource, Rule, Unknown, credentials, items

BOOTSTRAP_KEY = "openssh private key"
TTL_AUTOMATIC, TTL_LEAST, TTL_MOST = 1, 60, 86_400


def _placed(resource: Resource, _: Intent) -> Iterator[str]:
    if not resource.get("vpcUuid"):
        yield "is in no VPC of its own, so that it lands in the account's shared one. Set vpc_uuid."
    tags = items(resource.get("tags"))
    if any(isinstance(tag, Unknown) for tag in [resource.get("tags"), *tags]):
        return
    roles = [role for role in Role if role in tags]
    if not roles:
        yield f"has no role's tag. Give it one or more of {', '.join(Role)}."
    for role in roles:
        if not any(tag != role and tag.endswith(f"-{role}") for tag in tags):
            yield f"has the tag {role}, but not the cluster's own, so that no firewall is on it. Add CLUSTER-{role}."


def _user_data(resource: Resource, _: Intent) -> Iterator[str]:
    text = resource.get("userData")
    found = credentials(text) if isinstance(text, str) else []
    # The key of the bootstrap port, which is closed for good before the host has any data.
    if BOOTSTRAP_KEY in found:
        found.remove(BOOTSTRAP_KEY)
    if found:
        yield (
            f"has a {' and a '.join(found)} in its user data, which the metadata service tells to every process on it. "
            "Send it over SSH, on stdin."
        )


def _record(resource: Resource, _: Intent) -> Iterator[str]:
    if resource.get("proxied") is not False:
        yield "is not set to bypass Cloudflare's proxy, which passes neither etcd nor SSH. Set proxied=False."
    ttl = resource.get("ttl")
    if not isinstance(ttl, Unknown) and not (
        isinstance(ttl, int | float) and (ttl == TTL_AUTOMATIC or TTL_LEAST <= ttl <= TTL_MOST)
    ):
        yield f"has a ttl of {ttl}. Write {TTL_AUTOMATIC}, or {TTL_LEAST} to {TTL_MOST}."


RULES = (
    Rule(
        name="droplets-in-their-place",
        description="Every droplet is in the cluster's VPC and carries its role's tags, the cluster's own among them.",
        types=(":Droplet",),
        check=_placed,
    ),
    Rule(
        name="user-data-without-secrets",
        description="User data holds no credential but the bootstrap door's, which is worth nothing after its use.",
        types=(":Droplet",),
        check=_user_data,
    ),
    Rule(
        name="records-for-machines",
        description="DNS records point at hosts, unproxied, with a ttl that Cloudflare takes.",
        types=(":DnsRecord",),
        check=_record,
    ),
)
