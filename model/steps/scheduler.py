"""kube-scheduler."""

from __future__ import annotations

from collections.abc import Mapping

from model import manifests, paths, ports
from model.files import HostFile
from model.flags import TLS_CIPHER_SUITES, arguments
from model.steps import step, unit
from model.topology import Node

NAME = "kube-scheduler"


def flags() -> dict[str, str]:
    """The scheduler's flags (docs/reference/command-line-tools-reference/kube-scheduler)."""
    return {
        "config": paths.SCHEDULER_CONFIGURATION,
        "authentication-kubeconfig": paths.SCHEDULER_KUBECONFIG,
        "authorization-kubeconfig": paths.SCHEDULER_KUBECONFIG,
        "bind-address": "127.0.0.1",
        "secure-port": str(ports.SCHEDULER.number),
        "tls-min-version": "VersionTLS12",
        "tls-cipher-suites": TLS_CIPHER_SUITES,
        # The file says so too; the benchmark looks at the flag alone (CIS 1.4.1).
        "profiling": "false",
    }


def script(*, node: Node, version: str, extra: Mapping[str, str]) -> str:
    """Run the scheduler, until it is healthy."""
    files = (
        HostFile(path=paths.SCHEDULER_CONFIGURATION, content=manifests.scheduler_configuration()),
        unit(
            "control-plane",
            NAME,
            name=NAME,
            description="kube-scheduler, which finds a node for every pod",
            type="exec",
            environment_files=(),
            installed=paths.installed("kubernetes", version),
            arguments=arguments(flags(), extra),
            stop_seconds=None,
            logs=None,
            capabilities="",
        ),
    )
    return step(
        "service",
        name=NAME,
        files=files,
        # Its serving certificate is its own, made anew at each start; the question does not leave the host.
        trust="--insecure",
        health_url=f"https://127.0.0.1:{ports.SCHEDULER.number}/healthz",
        names=node.private_name,
        port=ports.SCHEDULER.number,
        depends_on=" ".join((*(file.path for file in files), paths.SCHEDULER_KUBECONFIG)),
    )
