"""The DigitalOcean account: the rights of its token, its limits, and the resources that it already has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from types import SimpleNamespace
from typing import Any

from doctor.findings import Finding, State, note, ok, wrong
from doctor.reading import Reader, RefusedError, UnreachableError
from doctor.stack import Stack
from model.roles import Role
from settings.accounts import DIGITALOCEAN, Account
from settings.mistakes import one_of
from settings.offers import Droplet, Host, Offers, judge

API = "https://api.digitalocean.com"
UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 401, 403, 404
TOKENS_PAGE = "https://cloud.digitalocean.com/account/api/tokens"

READ_SCOPES = {
    "account:read": ("/v2/account", "account"),
    "actions:read": ("/v2/actions", "actions"),
    "droplet:read": ("/v2/droplets", "droplets"),
    "firewall:read": ("/v2/firewalls", "firewalls"),
    "image:read": ("/v2/images", "images"),
    "regions:read": ("/v2/regions", "regions"),
    "sizes:read": ("/v2/sizes", "sizes"),
    "ssh_key:read": ("/v2/account/keys", "ssh_keys"),
    "tag:read": ("/v2/tags", "tags"),
    "vpc:read": ("/v2/vpcs", "vpcs"),
}
"""Read scopes by DigitalOcean's names, with a path for each (API reference)."""
CHANGED = ("droplet", "firewall", "ssh_key", "tag", "vpc")
"""Scopes with create, update and delete as well."""

DROPLET, VPC = "digitalocean:index/droplet:Droplet", "digitalocean:index/vpc:Vpc"
KINDS = {
    "VPC": ("/v2/vpcs", "vpcs", VPC),
    "firewall": ("/v2/firewalls", "firewalls", "digitalocean:index/firewall:Firewall"),
    "SSH key": ("/v2/account/keys", "ssh_keys", "digitalocean:index/sshKey:SshKey"),
    "droplet": ("/v2/droplets", "droplets", DROPLET),
}
"""Kinds with unique names: path, key of the list, and Pulumi's type."""

CLOCK_SECONDS = 60.0
"""Largest clock difference: the program's certificates are valid from the time of this machine's clock."""


def reader(account: Account) -> Reader:
    """Make a reader with the account's token."""
    return Reader(base=(account.endpoint or API).rstrip("/"), token=account.token)


def token(stack: Stack, cloud: Reader) -> Finding:
    """Check that the API answers and knows the token."""
    source = stack.digitalocean.source
    try:
        found = cloud.json("/v2/account")["account"]
    except UnreachableError as error:
        return wrong(f"{error}.", "Check this machine's network, its proxy, and https://status.digitalocean.com.")
    except RefusedError as error:
        if error.status == FORBIDDEN:
            return ok(f"{cloud.host} accepts {source}.")  # the next check names the missing scope
        if error.status == UNAUTHORIZED:
            return wrong(
                f"{cloud.host} does not accept the token of {source}: it is wrong, expired or revoked.",
                f"Make one at {TOKENS_PAGE}, then: pulumi config set --secret {DIGITALOCEAN.token_key}",
            )
        return wrong(f"{error}.", "Try again; https://status.digitalocean.com tells of failures.")
    team = (found.get("team") or {}).get("name")
    return ok(f"{cloud.host} accepts {source}{f', of team {team}' if team else ''}.")


def rights(_stack: Stack, cloud: Reader) -> Finding:
    """Try every scope that can be tried by reading."""
    missing = []
    for scope, (path, _key) in READ_SCOPES.items():
        try:
            cloud.json(path, **({} if scope == "account:read" else {"per_page": 1}))
        except RefusedError as error:
            if error.status != FORBIDDEN:
                raise
            missing.append(scope)
    if missing:
        return wrong(
            f"The token lacks {', '.join(missing)}.",
            f"Make one that has them at {TOKENS_PAGE}; docs/first-run.md lists all scopes.",
        )
    unproven = f"create, update and delete of {', '.join(CHANGED)} cannot be proved by reading"
    return ok(f"It reads all {len(READ_SCOPES)} kinds; {unproven}.")


def clock(_stack: Stack, cloud: Reader) -> Finding:
    """Compare this machine's clock with the API's."""
    try:
        offset = cloud.get("/v2/account").clock_offset
    except RefusedError:
        offset = cloud.get("/v2/regions").clock_offset
    if offset is None:
        return note(f"Not checked: {cloud.host} tells no time.")
    if abs(offset) > CLOCK_SECONDS:
        how = f"{abs(offset):.0f} s {'behind' if offset > 0 else 'ahead of'} {cloud.host}"
        return wrong(
            f"This machine's clock is {how}.", "Set it (timedatectl set-ntp true): certificates carry its time."
        )
    return ok(f"Within {max(1, round(abs(offset)))} s of {cloud.host}.")


def status(_stack: Stack, cloud: Reader) -> Finding:
    """Check that the account may make resources at all."""
    account = cloud.json("/v2/account")["account"]
    said = f" ({account['status_message']})" if account.get("status_message") else ""
    if not account.get("email_verified", True):
        return wrong("The account's e-mail address is not verified.", "Follow the link in DigitalOcean's mail.")
    if account["status"] == "locked":
        return wrong(f"The account is locked{said}.", "Ask DigitalOcean's support.")
    if account["status"] != "active":
        return note(f"The account's status is {account['status']}{said}.", "See the control panel for what it asks.")
    return ok("Active, e-mail address verified.")


def limit(stack: Stack, cloud: Reader) -> Finding:
    """Check that the account may have as many more droplets as the stack makes."""
    most = int(cloud.json("/v2/account")["account"]["droplet_limit"])
    droplets = list(cloud.pages("/v2/droplets", "droplets"))
    own = sum(stack.has_made(DROPLET, droplet["id"]) for droplet in droplets)
    new = max(len(stack.topology.hosts) - own, 0)
    room = most - len(droplets)
    seen = f"The account may have {most} droplets and has {len(droplets)}; this stack makes {new} more"
    if new > room:
        return wrong(f"{seen}.", "Ask DigitalOcean for a higher limit, or write smaller counts.")
    return ok(f"{seen}.")


def offer(stack: Stack, cloud: Reader) -> Finding:
    """Check what the program would refuse: a closed region, a size that the region lacks, or a size too small."""
    settings = stack.settings
    verdict = judge(
        offers=Offers.told(
            sizes=[SimpleNamespace(**each) for each in cloud.pages("/v2/sizes", "sizes")],
            regions=[SimpleNamespace(**each) for each in cloud.pages("/v2/regions", "regions")],
        ),
        region=settings.region,
        image=settings.image,
        pools=settings.pools,
        hosts=Host.all_of(stack.topology),
        existing=[
            Droplet(name=each["name"], size=each["size_slug"], region=each["region"]["slug"])
            for each in cloud.pages("/v2/droplets", "droplets")
        ],
    )
    if verdict.mistakes:
        return wrong(" ".join(map(str, verdict.mistakes)), "")
    if doubts := [doubt for doubt in verdict.warnings if not doubt.setting.endswith("image")]:  # image() reports those
        return note(" ".join(map(str, doubts)))
    wanted = sorted({pool.size for pool in settings.pools if pool.count})
    return ok(f"{settings.region} takes new droplets, and offers {', '.join(wanted)}.")


def image(stack: Stack, cloud: Reader) -> Finding:
    """Check that the images that hosts boot from exist in the region."""
    images: dict[str, str] = {}
    for position, pool in enumerate(stack.settings.pools):
        if pool.count:
            own = pool.image is not None
            images.setdefault(
                pool.image or stack.settings.image, f"triplane:pools[{position}].image" if own else "triplane:image"
            )
    found = [_image(slug, setting, stack.settings.region, cloud) for slug, setting in images.items()]
    if bad := [each for each in found if each.state is not State.OK]:
        return wrong(" ".join(map(str, bad)), "")
    return ok(" ".join(map(str, found)))


def _image(slug: str, setting: str, region: str, cloud: Reader) -> Finding:
    try:
        found = cloud.json(f"/v2/images/{slug}")["image"]
    except RefusedError as error:
        if error.status != NOT_FOUND:
            raise
        return wrong(f"{setting} = {slug} is not an image of DigitalOcean.", "doctl compute image list --public")
    if found.get("status", "available") != "available":
        return wrong(f"{setting} = {slug} is {found['status']}.", "Write a newer image.")
    if region not in found["regions"]:
        return wrong(f"{setting} = {slug} is not in {region}.", f"It is in {one_of(sorted(found['regions']))}.")
    return ok(f"{slug} is in {region}.")


def vpc_range(stack: Stack, cloud: Reader) -> Finding:
    """Check that no other VPC of the account overlaps with this one: DigitalOcean refuses an overlap."""
    wanted = stack.settings.vpc_cidr
    others = [vpc for vpc in cloud.pages("/v2/vpcs", "vpcs") if not _own_vpc(stack, vpc)]
    taken = [vpc for vpc in others if IPv4Network(vpc["ip_range"]).overlaps(wanted)]
    if taken:
        return wrong(
            f"triplane:vpcCidr = {wanted} overlaps with {_listed(taken)}.",
            "Write a range that is free, or delete that VPC.",
        )
    return ok(f"{wanted} is free: the account has {len(others)} other VPC{'' if len(others) == 1 else 's'}.")


def default_vpc(stack: Stack, cloud: Reader) -> Finding:
    """Check that the cluster's VPC does not become the region's default, which cannot be deleted."""
    region = stack.settings.region
    vpcs = [vpc for vpc in cloud.pages("/v2/vpcs", "vpcs") if vpc["region"] == region]
    if own := next((vpc for vpc in vpcs if vpc.get("default") and _own_vpc(stack, vpc)), None):
        return note(
            f"{own['name']} is the default VPC of {region}, and cannot be destroyed as long as it is.",
            f"Before a destroy: doctl vpcs create --name default-{region} --region {region}, then "
            "doctl vpcs update ID --default=true with the new one's ID.",
        )
    if found := next((vpc for vpc in vpcs if vpc.get("default")), None):
        return ok(f"{region} has {found['name']}.")
    return wrong(
        f"{region} has no VPC yet: the cluster's would become its default, which `pulumi destroy` cannot delete.",
        f"Make the default first: doctl vpcs create --name default-{region} --region {region}",
    )


def names(stack: Stack, cloud: Reader) -> Finding:
    """Look for resources of others with a name or a tag that this stack is about to use."""
    wanted = names_wanted(stack)
    tags = {stack.topology.scoped_tag(role) for role in Role}
    found = [
        f"{kind} {each['name']} ({each['id']})"
        for kind, (path, key, resource) in KINDS.items()
        for each in cloud.pages(path, key)
        if each["name"] in wanted[kind] or (kind == "droplet" and not tags.isdisjoint(each["tags"]))
        if not stack.has_made(resource, each["id"])
    ]
    if found:
        return wrong(
            f"Not this stack's, and in its way: {', '.join(found)}.",
            "Delete what is left of an earlier cluster, or write another triplane:cluster.",
        )
    return ok(f"No {one_of(KINDS)} of another is in the way.")


def names_wanted(stack: Stack) -> dict[str, set[str]]:
    """Kind → the names that the program gives (components/network.py, firewall.py, droplets.py)."""
    cluster = stack.settings.cluster
    return {
        "VPC": {cluster},
        "firewall": _firewall_names(stack),
        "SSH key": {f"{cluster}-deploy"},
        "droplet": {host.droplet_name for host in stack.topology.hosts},
    }


def _firewall_names(stack: Stack) -> set[str]:
    return {f"{stack.settings.cluster}-{each.name}" for each in stack.settings.firewalls}


def _own_vpc(stack: Stack, vpc: Mapping[str, Any]) -> bool:
    return stack.has_made(VPC, vpc["id"])


def _listed(vpcs: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"VPC {vpc['name']}, {vpc['ip_range']} in {vpc['region']}" for vpc in vpcs)
