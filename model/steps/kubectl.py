"""Steps that call the API, on a master, as the administrator."""

from __future__ import annotations

from model import paths
from model.addons import FIELD_MANAGER
from model.files import END_OF_FILE
from model.steps import step


def kubectl_step(template: str, /, *, name: str, **values: object) -> str:
    """A step with the administrator's kubeconfig where kubectl looks for it.

    `name` is unique among the steps on that master: the steps of several nodes run there in parallel. The step uses the
    kubectl that is installed when it runs, so that another version of kubectl does not change the step.
    """
    return step(
        template,
        files=(),
        name=name,
        kubeconfig=paths.passing_kubeconfig(name),
        manager=FIELD_MANAGER,
        mark=END_OF_FILE,
        **values,
    )
