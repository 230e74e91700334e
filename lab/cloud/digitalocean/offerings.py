"""Regions, sizes and images on offer, and the account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lab.cloud.errors import not_found, unprocessable
from lab.cloud.messages import ApiRequest, ApiResponse, Routes
from lab.cloud.paging import paged
from lab.faults import Faults

REGIONS = {
    "ams3": "Amsterdam 3",
    "atl1": "Atlanta 1",
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
        Size("s-1vcpu-1gb-amd", "Basic AMD", 1024, 1, 25, 1, 7),
        Size("s-2vcpu-4gb-amd", "Basic AMD", 4096, 2, 80, 4, 28),
        Size("s-4vcpu-8gb-amd", "Basic AMD", 8192, 4, 160, 5, 56),
        Size("s-1vcpu-1gb-intel", "Basic Intel", 1024, 1, 25, 1, 7),
        Size("s-2vcpu-4gb-intel", "Basic Intel", 4096, 2, 80, 4, 28),
        Size("s-4vcpu-8gb-intel", "Basic Intel", 8192, 4, 160, 5, 56),
        Size("c-2", "CPU-Optimized", 4096, 2, 25, 4, 42),
        Size("c-4", "CPU-Optimized", 8192, 4, 50, 5, 84),
        Size("c2-2vcpu-4gb", "CPU-Optimized 2x SSD", 4096, 2, 50, 4, 47),
        Size("g-2vcpu-8gb", "General Purpose", 8192, 2, 25, 4, 63),
        Size("g-4vcpu-16gb", "General Purpose", 16384, 4, 50, 5, 126),
        Size("m-2vcpu-16gb", "Memory-Optimized", 16384, 2, 50, 4, 84),
    )
}

REGULAR = tuple(slug for slug, size in SIZES.items() if size.description == "Basic")
NOT_OFFERED = {
    ("s-1vcpu-512mb-10gb", "nyc2"),
    ("s-1vcpu-512mb-10gb", "nyc3"),
    ("s-1vcpu-512mb-10gb", "sfo2"),
    ("s-1vcpu-512mb-10gb", "tor1"),
    ("s-2vcpu-4gb", "nyc3"),
    *((slug, "atl1") for slug in REGULAR),
}
"""Sizes that a region does not have. As on DigitalOcean: `s-2vcpu-4gb` was not available in nyc3 in March 2026
(OpenRouterLabs/spawn#2768); its release notes name the smallest size, and Regular plans in ATL1, as offered in some
regions only."""


def offered(size: str, region: str) -> bool:
    """Say whether the lists have a size in a region; a size that is sold out is still listed."""
    return (size, region) not in NOT_OFFERED


def check_available(faults: Faults, size: str, region: str) -> None:
    """Refuse a size that a region does not have, or that is sold out there."""
    if not offered(size, region) or faults.is_sold_out(region, size):
        raise unprocessable("Size is not available in this region.")


@dataclass(frozen=True, slots=True)
class Image:
    """Image of a droplet's disk."""

    id: int
    slug: str
    name: str
    distribution: str
    min_disk: int
    gigabytes: float


IMAGES = (
    Image(150001, "debian-12-x64", "12 x64", "Debian", 10, 0.9),
    Image(150002, "debian-13-x64", "13 x64", "Debian", 10, 0.9),
    Image(150003, "ubuntu-24-04-x64", "24.04 (LTS) x64", "Ubuntu", 10, 0.9),
)
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
        "sizes": [size for size in SIZES if offered(size, slug)],
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
        "price_hourly": round(size.monthly / 672, 5),  # four weeks: a month never costs more than the monthly price
        "regions": [region for region in REGIONS if offered(size.slug, region)],
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


def _account(call: ApiRequest) -> ApiResponse:
    account = {
        "droplet_limit": call.faults.droplet_limit,
        "floating_ip_limit": 0,
        "email": "lab@triplane.test",
        "name": "Triplane Lab",
        "uuid": "1ab00000000040008000000000000001",
        "email_verified": True,
        "status": "active",
        "status_message": "",
        "team": {"uuid": "1ab00000000040008000000000000002", "name": "Lab"},
    }
    return ApiResponse(body={"account": account})


def _regions(call: ApiRequest) -> ApiResponse:
    return paged(call, "regions", list(REGIONS), region_json)


def _sizes(call: ApiRequest) -> ApiResponse:
    return paged(call, "sizes", list(SIZES.values()), size_json)


def _images(call: ApiRequest) -> ApiResponse:
    # The lab's images are distributions, public, and carry no tags.
    none = (
        call.query.get("type", "distribution") != "distribution"
        or call.query.get("private") == "true"
        or call.query.get("tag_name")
    )
    return paged(call, "images", () if none else IMAGES, image_json)


def _image(call: ApiRequest) -> ApiResponse:
    image = find_image(call.path["image"])
    if image is None:
        raise not_found()
    return ApiResponse(body={"image": image_json(image)})


ROUTES: Routes = {
    ("GET", "/v2/account"): _account,
    ("GET", "/v2/regions"): _regions,
    ("GET", "/v2/sizes"): _sizes,
    ("GET", "/v2/images"): _images,
    ("GET", "/v2/images/{image}"): _image,
}
