"""Builds the programs that a release server or a package would carry, from their Go modules, and caches them."""

from __future__ import annotations

from lab.toolchain.builder import build, build_all, cached
from lab.toolchain.errors import ToolchainError
from lab.toolchain.programs import PROGRAMS, Download, Program
from lab.toolchain.progress import Progress, Step
from lab.toolchain.pulumi_engine import engine
from lab.toolchain.store import Build, host_arch

__all__ = [
    "PROGRAMS",
    "Build",
    "Download",
    "Program",
    "Progress",
    "Step",
    "ToolchainError",
    "build",
    "build_all",
    "cached",
    "engine",
    "host_arch",
]
