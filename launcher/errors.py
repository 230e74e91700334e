"""Launcher errors, one class per exit code."""

from __future__ import annotations


class LauncherError(Exception):
    """Something that should have worked did not; the message says what, and what to do. Exit code 1."""


class MistakeError(LauncherError):
    """The command line or a setting asks for what cannot be; the message says what to write instead. Exit code 2."""


class InterruptedByUserError(LauncherError):
    """The user stopped a command; the message says how to go on. Exit code 130, as shells have it."""
