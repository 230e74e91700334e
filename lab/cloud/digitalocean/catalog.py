"""What there is to choose from: regions, sizes and images; and whose account this is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lab.cloud.calls import Answer, Call, Routes
from lab.cloud.errors import not_found
from lab.cloud.paging import paged

DROPLET_LIMIT = 25

REGIONS = {
    "ams3": "Amsterdam 3",
    "blr1": "Bangalore 1",
    "fra1": "Frankfurt 1",
    "lon1": "London 1",
    "nyc1": "New York 1",
    "nyc2": "New York 2",
    "nyc3": "New York 3",
    "sfo2": "San Francisco 2",
    "sfo3": "San Francisco 3",
    "sgp1": "Singapore 1",
    "syd1": "Sydney 1",
    "tor1": "Toronto 1",
}
DEFAULT_REGION = "fra1"


@dataclass(frozen=True, slots=True)
class Size:
    """A kind of droplet: MiB of memory, GiB of disk, TiB of transfer, dollars a month."""

    slug: str
    description: str
    memory: int
    vcpus: int
    disk: int
    transfer: float
    monthly: float


SIZES = {
    size.slug: size
    for size in (
        Size("s-1vcpu-512mb-10gb", "Basic", 512, 1, 10, 0.5, 4),
        Size("s-1vcpu-1gb", "Basic", 1024, 1, 25, 1, 6),
        Size("s-1vcpu-2gb", "Basic", 2048, 1, 50, 2, 12),
        Size("s-2vcpu-2gb", "Basic", 2048, 2, 60, 3, 18),
        Size("s-2vcpu-4gb", "Basic", 4096, 2, 80, 4, 24),
        Size("s-4vcpu-8gb", "Basic", 8192, 4, 160, 5, 48),
        Size("s-8vcpu-16gb", "Basic", 16384, 8, 320, 6, 96),
        Size("c-2", "CPU-Optimized", 4096, 2, 25, 4, 42),
        Size("c-4", "CPU-Optimized", 8192, 4, 50, 5, 84),
        Size("g-2vcpu-8gb", "General Purpose", 8192, 2, 25, 4, 63),
        Size("g-4vcpu-16gb", "General Purpose", 16384, 4, 50, 5, 126),
    )
}


@dataclass(frozen=True, slots=True)
class Image:
    """What a droplet's disk starts from."""

    id: int
    slug: str
    name: str
    distribution: str
    min_disk: int
    gigabytes: float


IMAGES = (Image(150001, "debian-12-x64", "12 x64", "Debian", 10, 0.9),)
"""Images the lab's hosts can boot."""


def find_image(reference: str | int) -> Image | None:
    """Find an image by slug or id, either of which may come as text."""
    return next((image for image in IMAGES if str(reference) in (image.slug, str(image.id))), None)


def region_json(slug: str) -> dict[str, Any]:
    """Render a region."""
    return {
        "name": REGIONS[slug],
        "slug": slug,
        "features": ["metadata", "install_agent"],
        "available": True,
        "sizes": list(SIZES),
    }


def size_json(size: Size) -> dict[str, Any]:
    """Render a size."""
    return {
        "slug": size.slug,
        "memory": size.memory,
        "vcpus": size.vcpus,
        "disk": size.disk,
        "transfer": size.transfer,
        "price_monthly": size.monthly,
        "price_hourly": round(size.monthly / 672, 5),  # four weeks: the monthly price is the most a month can cost
        "regions": list(REGIONS),
        "available": True,
        "description": size.description,
        "disk_info": [disk_json(size.disk)],
    }


def disk_json(gigabytes: int) -> dict[str, Any]:
    """Render a droplet's local disk."""
    return {"type": "local", "size": {"amount": gigabytes, "unit": "gib"}}


def image_json(image: Image) -> dict[str, Any]:
    """Render an image."""
    return {
        "id": image.id,
        "name": image.name,
        "type": "base",
        "distribution": image.distribution,
        "slug": image.slug,
        "public": True,
        "regions": list(REGIONS),
        "created_at": "2023-06-13T00:00:00Z",
        "min_disk_size": image.min_disk,
        "size_gigabytes": image.gigabytes,
        "description": f"{image.distribution} {image.name}",
        "tags": [],
        "status": "available",
    }


def _account(_call: Call) -> Answer:
    account = {
        "droplet_limit": DROPLET_LIMIT,
        "floating_ip_limit": 0,
        "email": "lab@triplane.test",
        "name": "Triplane Lab",
        "uuid": "1ab00000000040008000000000000001",
        "email_verified": True,
        "status": "active",
        "status_message": "",
        "team": {"uuid": "1ab00000000040008000000000000002", "name": "Lab"},
    }
    return Answer(body={"account": account})


def _regions(call: Call) -> Answer:
    return paged(call, "regions", list(REGIONS), region_json)


def _sizes(call: Call) -> Answer:
    return paged(call, "sizes", list(SIZES.values()), size_json)


def _images(call: Call) -> Answer:
    # The lab's images are distributions, public, and carry no tags.
    none = (
        call.query.get("type", "distribution") != "distribution"
        or call.query.get("private") == "true"
        or call.query.get("tag_name")
    )
    return paged(call, "images", () if none else IMAGES, image_json)


def _image(call: Call) -> Answer:
    image = find_image(call.path["image"])
    if image is None:
        raise not_found()
    return Answer(body={"image": image_json(image)})


ROUTES: Routes = {
    ("GET", "/v2/account"): _account,
    ("GET", "/v2/regions"): _regions,
    ("GET", "/v2/sizes"): _sizes,
    ("GET", "/v2/images"): _images,
    ("GET", "/v2/images/{image}"): _image,
}
