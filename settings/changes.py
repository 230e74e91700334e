"""Changes of settings that a running cluster cannot make, or not at once.

A change is judged against the last `up`: its settings and its droplets (model/past.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from model import releases
from model.past import Past
from model.roles import Role
from settings.mistakes import Mistake, one_of
from settings.schema import Settings


class Effect(StrEnum):
    """Effect of a changed setting on a running cluster."""

    IN_PLACE = "in place"
    """No service of the cluster restarts."""
    ROLLING = "rolling"
    """Services restart, host by host."""
    REPLACES = "replaces hosts"
    REFUSED = "refused"


EFFECTS: Mapping[str, Effect] = {
    "cluster": Effect.REFUSED,
    "domain": Effect.REFUSED,
    "zone.id": Effect.REFUSED,
    "zone.name": Effect.REFUSED,
    "region": Effect.REFUSED,
    "image": Effect.REPLACES,
    "pools[].name": Effect.REPLACES,
    "pools[].roles": Effect.ROLLING,
    "pools[].count": Effect.IN_PLACE,
    "pools[].size": Effect.ROLLING,
    "pools[].image": Effect.REPLACES,
    "pools[].labels": Effect.IN_PLACE,
    "pools[].taints": Effect.IN_PLACE,
    "vpcCidr": Effect.REFUSED,
    "podCidr": Effect.REFUSED,
    "serviceCidr": Effect.REFUSED,
    "apiPort": Effect.REFUSED,
    "sshAllowed": Effect.IN_PLACE,
    "apiAllowed": Effect.IN_PLACE,
    "nodePortsAllowed": Effect.IN_PLACE,
    "ingressPorts[].protocol": Effect.IN_PLACE,
    "ingressPorts[].ports": Effect.IN_PLACE,
    "ingressPorts[].ranges": Effect.IN_PLACE,
    "icmpAllowed": Effect.IN_PLACE,
    "outboundAllowed[].protocol": Effect.IN_PLACE,
    "outboundAllowed[].ports": Effect.IN_PLACE,
    "outboundAllowed[].ranges": Effect.IN_PLACE,
    "nodesReachKubelets": Effect.IN_PLACE,
    "cloudController": Effect.ROLLING,
    "allowWorldSsh": Effect.IN_PLACE,
    "versions.kubernetes": Effect.ROLLING,
    "versions.etcd": Effect.ROLLING,
    "versions.flannel": Effect.ROLLING,
    "versions.containerd": Effect.ROLLING,
    "versions.runc": Effect.ROLLING,
    "versions.cniPlugins": Effect.ROLLING,
    "images.pause": Effect.ROLLING,
    "images.coredns": Effect.ROLLING,
    "mirror.url": Effect.IN_PLACE,
    "mirror.registry": Effect.ROLLING,
    "mirror.digests": Effect.IN_PLACE,
    "authorizationMode": Effect.ROLLING,
    "extraFlags": Effect.ROLLING,
    "certificates.caHours": Effect.ROLLING,
    "certificates.leafHours": Effect.ROLLING,
    "certificates.renewHours": Effect.ROLLING,
    "sshCaPublicKey": Effect.IN_PLACE,
    "encryptionKeys": Effect.ROLLING,
    "protect": Effect.IN_PLACE,
}
"""Setting, by its name in docs/settings.md → effect of a change; a test compares them with the table there."""

_FIXED = tuple(name for name, effect in EFFECTS.items() if effect is Effect.REFUSED)
_UPGRADED = ("kubernetes", "etcd")
"""Components that write data which an older minor version may not read."""
_QUORUM_ROLES = frozenset({Role.ETCD, Role.KUBE_MASTER})
_MOST_MEMBERS_AT_ONCE = 7


def remembered(settings: Settings) -> dict[str, object]:
    """Return what the next `up` compares, and `./triplane status` reads, by the settings' names in the stack's file."""
    written = settings.model_dump(mode="json", by_alias=True)
    versions = written["versions"]
    return {
        **{name: _at(written, name) for name in _FIXED},
        **{f"versions.{component}": version for component, version in versions.items()},
        **{f"certificates.{name}": hours for name, hours in written["certificates"].items()},
        "encryptionKeys": list(settings.encryption_keys),
        "protect": settings.protect,
    }


def mistakes(settings: Settings, past: Past) -> Iterator[Mistake]:
    """Find the changes that the cluster of `past` cannot make; none if nothing is known about it."""
    now = remembered(settings)
    before = {name: value for name, value in past.settings.items() if name in now}
    yield from _fixed(now, before)
    yield from _versions(now, before)
    yield from _keys(now, before)
    yield from _members(settings, past)
    changed = [name for name in before if name.startswith("versions.") and before[name] != now[name]]
    yield from _images(settings, past, changed)


def _at(written: Mapping[str, object], name: str) -> object:
    value: object = written
    for part in name.split("."):
        assert isinstance(value, Mapping)
        value = value[part]
    return value


def _fixed(now: Mapping[str, object], before: Mapping[str, object]) -> Iterator[Mistake]:
    for name in _FIXED:
        if name in before and now[name] != before[name]:
            yield Mistake(
                setting=f"triplane:{name}",
                value=now[name],
                problem=f"was {before[name]}, and a running cluster cannot change it. Write {before[name]} again. "
                "For another value, raise a second cluster from a new stack, and move what runs here.",
            )


def _versions(now: Mapping[str, object], before: Mapping[str, object]) -> Iterator[Mistake]:
    for component in _UPGRADED:
        name = f"versions.{component}"
        if name not in before:
            continue
        old, new = str(before[name]), str(now[name])
        reachable = [each for each in releases.load().versions(component) if _minor(old) <= _minor(each) <= _next(old)]
        if new in reachable:
            continue
        wrong = (
            f"is older than {old}, which the cluster runs: its data may be unreadable for {new}"
            if _minor(new) < _minor(old)
            else f"skips a minor version: the cluster runs {old}"
        )
        yield Mistake(setting=f"triplane:{name}", value=new, problem=f"{wrong}. Write {one_of(reachable or [old])}.")


def _minor(version: str) -> tuple[int, int]:
    major, minor, *_ = map(int, version.split("."))
    return major, minor


def _next(version: str) -> tuple[int, int]:
    major, minor = _minor(version)
    return major, minor + 1


def _keys(now: Mapping[str, object], before: Mapping[str, object]) -> Iterator[Mistake]:
    old, new = before.get("encryptionKeys"), now["encryptionKeys"]
    if not isinstance(old, list) or not isinstance(new, list) or not old:
        return
    if new[0] not in old:
        first = [*old, *(key for key in new if key not in old)]
        problem = (
            f"starts with {new[0]}, which the API servers cannot read yet. Write [{', '.join(first)}] first, and `up`"
        )
        yield Mistake(setting="triplane:encryptionKeys", value=new, problem=f"{problem}; then put {new[0]} in front.")
    elif old[0] not in new:
        first = [*new, old[0]]
        yield Mistake(
            setting="triplane:encryptionKeys",
            value=new,
            problem=f"drops {old[0]}, which the API servers still write with. Write [{', '.join(first)}] first, and "
            "`up`; then follow docs/settings.md, New encryption keys.",
        )
    elif before.get("protect") and (dropped := [key for key in old if key not in new]):
        yield Mistake(
            setting="triplane:encryptionKeys",
            value=new,
            problem=f"drops {one_of(dropped)}, which triplane:protect keeps: backups may be written with it. Write "
            f"[{', '.join([*new, *dropped])}] and triplane:protect: false first, and `up`.",
        )


def _members(settings: Settings, past: Past) -> Iterator[Mistake]:
    """Refuse the loss of the last copy of etcd's data, and too many members at a time."""
    members = {host.name for host in settings.topology.etcd}
    new = members - {host.name for host in past.etcd}
    if past.etcd and new and len(new) + len(past.etcd) > _MOST_MEMBERS_AT_ONCE:
        yield Mistake(
            setting="triplane:pools",
            problem=f"has {len(new)} new etcd members beside {len(past.etcd)} old ones, and etcd takes no more than "
            f"{_MOST_MEMBERS_AT_ONCE} at a time. Take some of the old ones away first.",
        )
    if past.etcd and len(new) == len(members) and (first := _leaving_master(settings, past)):
        yield Mistake(
            setting="triplane:pools",
            problem=f"moves etcd and {first}, the first master, at once, and {first} could not say goodbye to nodes "
            "once its etcd is gone. First move etcd alone, with kube-master as it was, and `up`; then move the "
            "masters.",
        )
    images = _images_now(settings)
    if len(past.etcd) == 1 and (only := past.etcd[0]).name in members and images[only.name] != only.image:
        yield Mistake(
            setting="triplane:image",
            value=images[only.name],
            problem=f"replaces {only.name}, the only etcd member, and all data with it. Write {only.image} again; "
            "or have 3 members first, and `up`.",
        )


def _leaving_master(settings: Settings, past: Past) -> str:
    """Name the master on which nodes are removed, if it is a master no more."""
    first = next((host.name for host in past.hosts if Role.KUBE_MASTER in host.roles), "")
    return "" if first in {host.name for host in settings.topology.masters} else first


def _images(settings: Settings, past: Past, versions: list[str]) -> Iterator[Mistake]:
    """Refuse to replace hosts of the control plane while their versions or sizes change too."""
    now = {host.name: host for host in settings.topology.hosts}
    images = _images_now(settings)
    for position, pool in enumerate(settings.pools):
        if _QUORUM_ROLES.isdisjoint(pool.roles):
            continue
        replaced = [
            host
            for host in past.hosts
            if host.name in now and now[host.name].pool == pool.name and host.image != images[host.name]
        ]
        others = versions + (
            [f"pools[{position}].size"] if any(now[host.name].size != host.size for host in replaced) else []
        )
        if replaced and others:
            yield Mistake(
                setting="triplane:image" if pool.image is None else f"triplane:pools[{position}].image",
                value=images[replaced[0].name],
                problem=f"replaces hosts of {pool.name}, and {others[0]} changes too. Change one at a time: write "
                f"{replaced[0].image} again, and `up`; then change the image.",
            )


def _images_now(settings: Settings) -> dict[str, str]:
    """Host → image."""
    images = {pool.name: pool.image or settings.image for pool in settings.pools}
    return {host.name: images[host.pool] for host in settings.topology.hosts}
