"""The last `up` of this stack, and what its cluster does not allow, before any resource is registered."""

from __future__ import annotations

from datetime import UTC, datetime

import pulumi

from model import expiry
from model.past import Past, read
from settings import changes
from settings.mistakes import SettingsError
from settings.schema import Settings

_FUNCTION = "pulumi:pulumi:readStackOutputs"


def past_of(settings: Settings) -> Past:
    """Read the stack's own outputs, and check its settings against them.

    Raises pulumi.RunError, which the engine shows as a message without a traceback.
    """
    past = read(_outputs())
    if past.unreadable:
        pulumi.log.warn(
            f"The outputs of this stack cannot be read: {past.unreadable}. So it is not known which cluster runs here, "
            "no member founds an etcd cluster, and a change that would break the cluster is not refused. "
            "Run `up` with the settings of the last `up`: it writes these outputs again."
        )
    if wrong := tuple(changes.mistakes(settings, past)):
        raise pulumi.RunError(str(SettingsError(wrong)))
    for warning in expiry.warnings(past.certificates, settings.certificates.lifetimes, datetime.now(UTC)):
        pulumi.log.warn(warning)
    return past


def _outputs() -> dict[str, object]:
    """Outputs of the last `up`, without a resource: a StackReference to the own stack would be a step in each plan."""
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    answer = pulumi.runtime.invoke(_FUNCTION, {"name": name}).value
    return dict((answer or {}).get("outputs") or {})
