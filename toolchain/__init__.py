"""Provides the programs that the lab needs: upstream's releases, or builds from their Go modules; and caches them."""

from __future__ import annotations

from toolchain.build_cache import Build, Origin, host_arch
from toolchain.builder import build, build_all, cached, may_be_taken, probe, take_release
from toolchain.errors import ToolchainError
from toolchain.programs import PROGRAMS, PULUMI_RELEASE, Download, Program
from toolchain.progress import Progress, Step
from toolchain.pulumi_engine import at_hand as engine_at_hand
from toolchain.pulumi_engine import engine
from toolchain.upstream import Limits, Mode, Upstream

__all__ = [
    "PROGRAMS",
    "PULUMI_RELEASE",
    "Build",
    "Download",
    "Limits",
    "Mode",
    "Origin",
    "Program",
    "Progress",
    "Step",
    "ToolchainError",
    "Upstream",
    "build",
    "build_all",
    "cached",
    "engine",
    "engine_at_hand",
    "host_arch",
    "may_be_taken",
    "probe",
    "take_release",
]
