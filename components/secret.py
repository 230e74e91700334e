"""Secret values in the state: keys, and files with keys."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import pulumi
import pulumi_tls as tls

T = TypeVar("T")


class FilledFile(NamedTuple):
    """A secret file with its content, ready to be sent; owner is `user:group`."""

    path: str
    content: pulumi.Input[str]
    owner: str = "root:root"


def secret(value: pulumi.Output[T]) -> pulumi.Output[T]:
    """The same value, encrypted in state and hidden in diffs, like every value that is derived from it."""
    return pulumi.Output.secret(value)


def ecdsa_key(name: str, opts: pulumi.ResourceOptions) -> tls.PrivateKey:
    """A P-256 key; the provider's own default, P-224, is refused by Go's TLS."""
    return tls.PrivateKey(name, algorithm="ECDSA", ecdsa_curve="P256", opts=opts)
