"""Rules for the services on nodes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from model.roles import Role, role_taints
from policy.resource import Intent, Resource, Rule, StackRule, Unknown, items, readable_texts

RUNS_ON_HOSTS = ("create", "update")
IMAGE = re.compile(r"^\s*(?:- )?(?:image:|sandbox =) (\S+)\s*$", re.MULTILINE)
"""Pattern of a pod's image in a manifest, and of its sandbox's image in containerd's configuration."""
PINNED = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")
REGISTRATION = "-registration"


def _images(resource: Resource, _: Intent) -> Iterator[str]:
    for name in RUNS_ON_HOSTS:
        for text in readable_texts(resource.get(name)):
            for image in dict.fromkeys(found.strip("\"'") for found in IMAGE.findall(text)):
                if not PINNED.fullmatch(image):
                    yield f"runs the image {image}, whose tag may be moved. Write it with its @sha256 digest."


def _kept_free(resources: Sequence[Resource]) -> Iterator[tuple[Resource, str]]:
    """Find masters that are not kube-nodes and are registered without the taint that keeps pods away."""
    [taint] = role_taints([Role.KUBE_MASTER])
    registered = {resource.name: resource for resource in resources if resource.name.endswith(REGISTRATION)}
    for droplet in resources:
        tags = items(droplet.get("tags"))
        if not droplet.type.endswith(":Droplet") or Role.KUBE_MASTER not in tags or Role.KUBE_NODE in tags:
            continue
        registration = registered.get(f"{droplet.name}{REGISTRATION}")
        script = registration.get("create") if registration else ""
        if not isinstance(script, Unknown) and str(taint) not in str(script):
            yield droplet, f"is a master without the taint {taint}, so that any pod may run beside the control plane."


RULES = (
    Rule(
        name="images-by-digest",
        description="Every image that the program runs is pinned by its digest.",
        types=("remote:Command",),
        check=_images,
    ),
)
STACK_RULES = (
    StackRule(
        name="masters-kept-free",
        description="A master that is not a node has the taint that keeps other pods away.",
        check=_kept_free,
    ),
)
