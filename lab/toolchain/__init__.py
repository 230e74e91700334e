"""Has the programs that the lab needs: upstream's releases, or builds from their Go modules; and caches them."""

from __future__ import annotations

from lab.toolchain.build_cache import Build, Origin, host_arch
from lab.toolchain.builder import build, build_all, cached, may_be_taken, probe, take_release
from lab.toolchain.errors import ToolchainError
from lab.toolchain.programs import PROGRAMS, PULUMI_RELEASE, Download, Program
from lab.toolchain.progress import Progress, Step
from lab.toolchain.pulumi_engine import at_hand as engine_at_hand
from lab.toolchain.pulumi_engine import engine
from lab.toolchain.upstream import Limits, Mode, Upstream

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
