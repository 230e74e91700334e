"""Archives with images: what `docker save` and `podman save` write, and OCI image layouts.

Two shapes: `manifest.json` beside layers (moby, image/tarexport), and `index.json` beside `blobs/` (OCI image layout
1.1); newer versions of Docker write both into one archive.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import posixpath
import re
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from lab.oci.building import CONFIG, LAYER, MANIFEST
from lab.oci.names import ImageError
from lab.oci.store import MAX_MANIFEST, media_type_of

OS, ARCHITECTURE = "linux", "amd64"
"""Platform of the lab's hosts, as of droplets."""

_CHUNK = 1024 * 1024
_ZSTD = b"\x28\xb5\x2f\xfd"
_GZIP = b"\x1f\x8b"
_FULL_NAME = "io.containerd.image.name"
_OCI_NAME = "org.opencontainers.image.ref.name"


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive, unpacked."""

    path: Path
    sha256: str
    size: int


Files = Mapping[str, Member]
"""Members by their paths in the archive."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """An image in an archive."""

    names: tuple[str, ...]
    """Names in the archive; none if it was saved by its id."""
    digest: str
    """Digest of its manifest or index, in hex."""
    blobs: Mapping[str, Path]
    """Blobs by their digests in hex."""


def unpack(stream: BufferedReader[Any], folder: Path) -> Files:
    """Write an archive's files to a folder, and take their digests. It is read once, from front to back.

    `ImageError` where it is not a whole tar archive, plain or compressed by gzip, bzip2 or xz.
    """
    start = stream.peek(4)[:4]
    if not start:
        raise ImageError("it is empty: save the image again (`docker save web:1.0 -o FILE.tar`)")
    if start == _ZSTD:
        raise ImageError("it is compressed by zstd: unpack it first (`zstd -d FILE`)")
    files: dict[str, Member] = {}
    links: dict[str, str] = {}
    try:
        with tarfile.open(fileobj=stream, mode="r|*") as tar:
            for member in tar:
                name = posixpath.normpath(member.name)
                if member.isfile():
                    source = tar.extractfile(member)
                    assert source
                    files[name] = _copy(source, folder / str(len(files)), member.size)
                elif member.issym():  # a layer that an image has twice
                    links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
                elif member.islnk():
                    links[name] = posixpath.normpath(member.linkname)
    except (tarfile.TarError, EOFError, zlib.error) as problem:
        raise ImageError(f"it is not a whole tar archive ({problem}): save or copy it again") from problem
    return files | {name: files[target] for name, target in links.items() if target in files}


def images(files: Files) -> list[Found]:
    """Find the images among an archive's files, all of them whole and for the lab's hosts; else `ImageError`."""
    if "index.json" in files:
        found = [_from_layout(files, entry) for entry in _entries(files)]
    elif "manifest.json" in files:
        found = [_from_saved(files, entry) for entry in _json(files, "manifest.json", list)]
    else:
        raise ImageError(
            "it has no image: neither a manifest.json (docker save) nor an index.json (OCI layout) is in it"
            + ("; `docker export` makes such archives, use `docker save`" if "etc/passwd" in files else "")
        )
    if not found:
        raise ImageError("it has no image: its list of images is empty")
    return found


def _entries(files: Files) -> list[dict[str, Any]]:
    """Read the descriptors of a layout's images; an image with two names is in the list twice."""
    index = _json(files, "index.json", dict)
    entries = index.get("manifests")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ImageError("its index.json is not an OCI index: save the image again")
    return [entry for entry in entries if "vnd.docker.reference.type" not in (entry.get("annotations") or {})]


def _from_layout(files: Files, entry: Mapping[str, Any]) -> Found:
    annotations = entry.get("annotations") or {}
    name = str(annotations.get(_FULL_NAME) or annotations.get(_OCI_NAME) or "")
    if _FULL_NAME not in annotations and not set(":/") & set(name):
        name = ""  # a tag alone: the layout does not name the repository
    blobs: dict[str, Path] = {}
    if not _walk(files, entry, blobs):
        raise ImageError(_wrong_platform(name or "its image", _platforms(files, entry)))
    digest = _digest(entry)
    return Found(names=(name,) if name else _names_in_manifest(files, blobs), digest=digest, blobs=blobs)


def _walk(files: Files, descriptor: Mapping[str, Any], blobs: dict[str, Path]) -> bool:
    """Collect the blobs of a manifest or an index; return whether the lab's hosts can run it.

    An index's other platforms are left out: an archive need not have them.
    """
    member = _blob(files, descriptor)
    manifest = _parsed(member, _digest(descriptor))
    if "manifests" in manifest:
        runs = False
        for child in manifest["manifests"]:
            if _is_for_us(child) and f"blobs/sha256/{_digest(child)}" in files:
                runs = _walk(files, child, blobs) or runs
        if runs:
            blobs[member.sha256] = member.path
        return runs
    config = _parsed(_blob(files, manifest["config"]), "configuration")
    if (config.get("os"), config.get("architecture")) != (OS, ARCHITECTURE):
        return False
    for part in (manifest["config"], *manifest["layers"]):
        blobs[_digest(part)] = _blob(files, part).path
    blobs[member.sha256] = member.path
    return True


def _is_for_us(child: Mapping[str, Any]) -> bool:
    platform = child.get("platform") or {}
    return (platform.get("os", OS), platform.get("architecture", ARCHITECTURE)) == (OS, ARCHITECTURE)


def _platforms(files: Files, descriptor: Mapping[str, Any]) -> set[str]:
    """Name the platforms that an image is for."""
    manifest = _parsed(_blob(files, descriptor), _digest(descriptor))
    if "manifests" in manifest:
        known = [child.get("platform") or {} for child in manifest["manifests"]]
    else:
        known = [_parsed(_blob(files, manifest["config"]), "configuration")]
    named = {f"{each.get('os', '')}/{each.get('architecture', '')}" for each in known if each.get("architecture")}
    return named - {"unknown/unknown"}


def _wrong_platform(name: str, platforms: set[str]) -> str:
    if f"{OS}/{ARCHITECTURE}" in platforms:
        return (
            f"{name}: the archive lacks the {OS}/{ARCHITECTURE} part of it: "
            f"save it again (docker save --platform {OS}/{ARCHITECTURE})"
        )
    if not platforms:
        return f"{name} is not a container image: its configuration names no platform"
    return (
        f"{name} is for {', '.join(sorted(platforms))}, and the hosts are {OS}/{ARCHITECTURE}: "
        f"build it for them (docker build --platform {OS}/{ARCHITECTURE})"
    )


def _names_in_manifest(files: Files, blobs: Mapping[str, Path]) -> tuple[str, ...]:
    """Find an image's names in the other list that Docker writes, by its configuration."""
    entries = _json(files, "manifest.json", list) if "manifest.json" in files else []
    return tuple(
        name
        for entry in entries
        if isinstance(entry, dict) and posixpath.basename(str(entry.get("Config"))) in blobs
        for name in entry.get("RepoTags") or ()
    )


def _from_saved(files: Files, entry: object) -> Found:
    """Make the manifest for an image of the older shape, which has none."""
    if not isinstance(entry, dict) or "Config" not in entry or not isinstance(entry.get("Layers"), list):
        raise ImageError("its manifest.json is not a list of images: save the image again")
    names = tuple(entry.get("RepoTags") or ())
    label = names[0] if names else "its image"
    config = _member(files, entry["Config"])
    content = _parsed(config, "configuration")
    stem = posixpath.basename(entry["Config"]).removesuffix(".json")
    if re.fullmatch(r"[0-9a-f]{64}", stem) and stem != config.sha256:
        raise ImageError(f"{label}: its configuration {stem[:12]} is damaged: save or copy the archive again")
    platform = f"{content.get('os', OS)}/{content.get('architecture', '')}"
    if platform != f"{OS}/{ARCHITECTURE}":
        raise ImageError(_wrong_platform(label, {platform} if content.get("architecture") else set()))
    layers = [_member(files, name) for name in entry["Layers"]]
    plain = [_plain_digest(layer) for layer in layers]
    if (content.get("rootfs") or {}).get("diff_ids") != [f"sha256:{digest}" for digest, _ in plain]:
        raise ImageError(f"{label}: its layers are not those of its configuration: save or copy the archive again")
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": f"sha256:{config.sha256}", "size": config.size},
        "layers": [
            {
                "mediaType": LAYER if zipped else LAYER.removesuffix("+gzip"),
                "digest": f"sha256:{layer.sha256}",
                "size": layer.size,
            }
            for layer, (_, zipped) in zip(layers, plain, strict=True)
        ],
    }
    written = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    digest = hashlib.sha256(written).hexdigest()
    place = config.path.with_name(f"manifest-{digest}")
    place.write_bytes(written)
    return Found(
        names=names,
        digest=digest,
        blobs={digest: place, **{member.sha256: member.path for member in (config, *layers)}},
    )


def _plain_digest(layer: Member) -> tuple[str, bool]:
    """Return the digest of a layer's archive without compression, and whether it is compressed."""
    with layer.path.open("rb") as stream:
        if stream.peek(2)[:2] != _GZIP:
            return layer.sha256, False
        try:
            with gzip.open(stream) as plain:
                digest = hashlib.sha256()
                while chunk := plain.read(_CHUNK):
                    digest.update(chunk)
        except (OSError, EOFError, zlib.error) as problem:
            raise ImageError(f"a layer is damaged ({problem}): save or copy the archive again") from problem
    return digest.hexdigest(), True


def _copy(source: IO[bytes], target: Path, size: int) -> Member:
    digest = hashlib.sha256()
    with target.open("wb") as stream:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            stream.write(chunk)
    return Member(target, digest.hexdigest(), size)


def _digest(descriptor: Mapping[str, Any]) -> str:
    found = re.fullmatch(r"sha256:([0-9a-f]{64})", str(descriptor.get("digest")))
    if not found:
        raise ImageError(f"its digest {descriptor.get('digest')!r} is not a SHA-256: save the image again")
    return found[1]


def _blob(files: Files, descriptor: Mapping[str, Any]) -> Member:
    digest = _digest(descriptor)
    member = _member(files, f"blobs/sha256/{digest}")
    if member.sha256 != digest:
        raise ImageError(f"its blob {digest[:12]} is damaged (SHA-256 {member.sha256[:12]}): save or copy it again")
    return member


def _member(files: Files, name: object) -> Member:
    found = files.get(posixpath.normpath(str(name)))
    if not found:
        raise ImageError(f"{name} is missing in it: save or copy the archive again")
    return found


def _parsed(member: Member, what: str) -> dict[str, Any]:
    """Read a manifest, an index or a configuration."""
    content = _load(member, what)
    if not isinstance(content, dict) or (what != "configuration" and not media_type_of(content)):
        raise ImageError(f"its {what[:13]} is not a manifest: save the image again")
    return content


def _json(files: Files, name: str, kind: type) -> Any:  # noqa: ANN401 - as JSON has it
    content = _load(files[name], name)
    if not isinstance(content, kind):
        raise ImageError(f"its {name} does not list images: save the image again")
    return content


def _load(member: Member, what: str) -> object:
    try:
        return json.loads(member.path.read_bytes()) if member.size <= MAX_MANIFEST else None
    except ValueError as problem:
        raise ImageError(f"its {what[:13]} is not JSON: save or copy the archive again") from problem
