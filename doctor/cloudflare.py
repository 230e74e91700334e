"""The Cloudflare zone: the rights of its token, its delegation to Cloudflare, and the records that it already has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from doctor.findings import Finding, note, ok, wrong
from doctor.outside import Outside
from doctor.reading import Reader, ReadError, RefusedError, UnreachableError
from doctor.stack import Stack
from settings.accounts import CLOUDFLARE, Account

API = "https://api.cloudflare.com/client/v4"
TOKENS_PAGE = "https://dash.cloudflare.com/profile/api-tokens"
DNS_RECORD = "cloudflare:index/dnsRecord:DnsRecord"
ADDRESSES = frozenset({"A", "AAAA", "CNAME", "NS"})
"""Types of records that change the meaning of the program's A record with the same name, or prevent it."""
EXPIRES_SOON = timedelta(days=30)
PER_PAGE = 1000


def reader(account: Account) -> Reader:
    """Make a reader with the account's token."""
    return Reader(base=(account.endpoint or API).rstrip("/"), token=account.token)


def token(stack: Stack, cloud: Reader) -> Finding:
    """Check that the API answers, and that the token is active for long enough."""
    source = stack.cloudflare.source
    try:
        found = _verified(stack, cloud)
    except UnreachableError as error:
        return wrong(f"{error}.", "Check this machine's network, its proxy, and https://www.cloudflarestatus.com.")
    except ReadError as error:
        return wrong(
            f"{cloud.host} does not accept the token of {source} ({error}).",
            f"Make one at {TOKENS_PAGE}, then: pulumi config set --secret {CLOUDFLARE.token_key}",
        )
    if found["status"] != "active":
        return wrong(f"The token of {source} is {found['status']}.", f"Make a new one at {TOKENS_PAGE}.")
    if found.get("expires_on"):
        left = datetime.fromisoformat(found["expires_on"]) - datetime.now(UTC)
        if left < EXPIRES_SOON:
            return note(f"The token of {source} expires on {found['expires_on']}.", f"See {TOKENS_PAGE}.")
    return ok(f"{cloud.host} accepts {source}.")


def _verified(stack: Stack, cloud: Reader) -> Mapping[str, Any]:
    """Ask for the token's own data; for a token that an account owns, ask at the zone's account."""
    try:
        return _result(cloud, "/user/tokens/verify")
    except RefusedError as error:
        try:
            account = _zone(stack, cloud)["account"]["id"]
        except RefusedError:
            raise error from None
        return _result(cloud, f"/accounts/{account}/tokens/verify")


def zone(stack: Stack, cloud: Reader) -> Finding:
    """Check that the zone is the intended one, and that it is in use."""
    wanted = stack.settings.zone
    try:
        found = _zone(stack, cloud)
    except RefusedError as error:
        if error.status == 403:
            return note(
                f"Not checked: {error}.",
                "The program needs no more than Zone / DNS / Edit; Zone / Zone / Read shows this.",
            )
        return wrong(
            f"The token finds no zone triplane:zone.id = {wanted.id} ({error}).",
            "The id is on the zone's overview page; the token must be for this zone.",
        )
    if found["name"] != wanted.name:
        return wrong(f"Zone {wanted.id} is {found['name']}, not {wanted.name}.", "Correct triplane:zone's id and name.")
    if found.get("type", "full") != "full":
        return wrong(
            f"{wanted.name} is a {found['type']} zone, whose records Cloudflare does not serve by itself.",
            "Take a zone whose DNS is all at Cloudflare.",
        )
    if found["status"] != "active":
        return wrong(
            f"{wanted.name} is {found['status']}, not active: its name servers are not at the registrar.",
            f"Set them there: {', '.join(found.get('name_servers') or ())}.",
        )
    return ok(f"{wanted.name} is active.")


def delegation(stack: Stack, cloud: Reader, outside: Outside | None) -> Finding:
    """Check that the public DNS names Cloudflare's servers for the zone."""
    name = stack.settings.zone.name
    if outside is None:
        return note(f"Not checked: {cloud.host} is not Cloudflare's own API, and public DNS knows nothing of it.")
    try:
        wanted = _servers(_zone(stack, cloud).get("name_servers") or ())
    except RefusedError as error:
        return note(f"Not checked: {error}.")
    try:
        told = _servers(outside.name_servers(name))
    except ReadError as error:
        return note(f"Not checked: {error}.")
    advice = f"Set {', '.join(sorted(wanted))} at the registrar of {name}; it takes up to a day to be seen everywhere."
    if not told:
        return wrong(f"The public DNS knows no name servers of {name}.", advice)
    if told != wanted:
        return wrong(f"The public DNS names {', '.join(sorted(told))} for {name}, which are not Cloudflare's.", advice)
    return ok(f"The public DNS names {', '.join(sorted(told))} for {name}.")


def records(stack: Stack, cloud: Reader) -> Finding:
    """Look for records with a name that this stack is about to use, and for delegated parts of the zone."""
    try:
        found = list(_records(stack, cloud))
    except RefusedError as error:
        return wrong(
            f"The zone's records cannot be read ({error}).", f"Give the token Zone / DNS / Edit at {TOKENS_PAGE}."
        )
    wanted = names_wanted(stack)
    strangers = [
        record
        for record in found
        if not stack.has_made(DNS_RECORD, record["id"])
        if (record["name"] in wanted and record["type"] in ADDRESSES) or _gives_away(record, stack)
    ]
    if strangers:
        listed = ", ".join(f"{each['name']} {each['type']} {each['content']}" for each in strangers[:5])
        more = f" and {len(strangers) - 5} more" if len(strangers) > 5 else ""
        return wrong(
            f"Not this stack's, and in its way: {listed}{more}.",
            "Delete them, or write another triplane:domain. Two addresses under one name are asked in turn.",
        )
    return ok(f"{len(wanted)} names are free, or this stack's; whether the token may edit cannot be proved by reading.")


def names_wanted(stack: Stack) -> set[str]:
    """All names of the program's A records."""
    topology = stack.topology
    hosts = {name for host in topology.hosts for name in (host.fqdn, host.private_name)}
    return hosts | {topology.api_name, topology.api_private_name}


def _gives_away(record: Mapping[str, Any], stack: Stack) -> bool:
    """True if a record delegates the domain, or a name above it in the zone, to other name servers."""
    name, above = record["name"], stack.settings.zone.name
    below = any(each == name or each.endswith(f".{name}") for each in names_wanted(stack))
    return bool(record["type"] == "NS" and name != above and below)


def _records(stack: Stack, cloud: Reader) -> Iterator[dict[str, Any]]:
    path, page = f"/zones/{stack.settings.zone.id}/dns_records", 1
    while True:
        body = cloud.json(path, per_page=PER_PAGE, page=page)
        yield from body["result"]
        if page >= (body.get("result_info") or {}).get("total_pages", 1):
            return
        page += 1


def _zone(stack: Stack, cloud: Reader) -> Mapping[str, Any]:
    return _result(cloud, f"/zones/{stack.settings.zone.id}")


def _result(cloud: Reader, path: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = cloud.json(path)["result"]
    return found


def _servers(names: Iterable[str]) -> set[str]:
    return {name.rstrip(".").lower() for name in names}
