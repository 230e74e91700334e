"""Objects in the API."""

from __future__ import annotations

from collections.abc import Iterable

import pulumi

from components.kubectl import Kubectl
from model.addons import Object
from model.steps.objects import Rollout, script


class Objects(pulumi.ComponentResource):
    """A set of objects that belong together. One step applies them, prunes old ones, and waits for them.

    When the step is deleted, the set stays in the API: it is deleted only with the cluster.
    """

    ready: pulumi.Resource

    def __init__(
        self,
        name: str,
        *,
        kubectl: Kubectl,
        objects: Iterable[Object],
        rollout: Rollout | None = None,
        after: Iterable[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:kubernetes:Objects", name, None, opts)
        self.ready = kubectl.step(
            name,
            create=script(name=name, objects=objects, rollout=rollout),
            parent=self,
            depends_on=after,
        )
        self.register_outputs({})
