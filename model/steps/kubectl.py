"""Steps that ask the API for something, on a master, as the administrator."""

from __future__ import annotations

from model import paths
from model.addons import FIELD_MANAGER
from model.files import END_OF_FILE
from model.steps import step


def kubectl_step(template: str, /, *, name: str, **values: object) -> str:
    """A step with the administrator's kubeconfig where kubectl looks for it.

    `name` is unique among the steps on that master: those of several nodes run there side by side. kubectl is the
    one that is
    installed when the step runs, so that another version of it is not a change of the step.
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
