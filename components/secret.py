"""Marking what the state must hold encrypted."""

from __future__ import annotations

from typing import TypeVar

import pulumi

T = TypeVar("T")


def secret(value: pulumi.Output[T]) -> pulumi.Output[T]:
    """The same value, encrypted in state and hidden in diffs, as is everything that is made of it."""
    return pulumi.Output.secret(value)
