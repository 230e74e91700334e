"""Launcher errors, one class per exit code."""

from __future__ import annotations


class LauncherError(Exception):
    """A failure of something that should work; the message says what failed, and what to do. Exit code 1."""


class MistakeError(LauncherError):
    """A mistake in the command line or a setting; the message says what to write instead. Exit code 2."""


class InterruptedByUserError(LauncherError):
    """The user stopped a command; the message says how to continue. Exit code 130, as in shells."""
