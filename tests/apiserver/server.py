"""A real API server over a real etcd, and nothing else of a cluster: steps ask it here what they ask on a master."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from model import paths
from model.assets import read
from tests.waiting import wait_for
from toolchain import PROGRAMS, build

TOKEN = "0123456789abcdef"


@dataclass
class Outcome:
    """What came of a step."""

    code: int
    out: str
    err: str


@dataclass
class ApiServer:
    """Where it is, and how to ask it."""

    folder: Path
    kubeconfig: str
    binaries: Path

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Ask as the administrator."""
        file = self.folder / "admin.kubeconfig"
        file.write_text(self.kubeconfig)
        ended = subprocess.run(
            [self.binaries / "kubectl", f"--kubeconfig={file}", f"--cache-dir={self.folder}/cache", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", *arguments, "--output=json", "--show-managed-fields"))

    def apply(self, *objects: dict[str, Any]) -> None:
        self.kubectl("apply", "--server-side", "--filename=-", stdin=yaml.safe_dump_all(objects))

    def status(self, kind: str, name: str, status: dict[str, Any], namespace: str = "default") -> None:
        """Say what a controller or a kubelet would say."""
        patch = json.dumps({"status": status})
        self.kubectl(
            "patch", kind, name, f"--namespace={namespace}", "--subresource=status", "--type=merge", f"--patch={patch}"
        )

    @property
    def left_behind(self) -> list[str]:
        """Files that the last step's kubeconfig left."""
        return [path.name for path in (self.folder / "run").iterdir()]

    def start(self, script: str, name: str, droplet: str = "") -> subprocess.Popen[str]:
        """Run a step as a master's shell does, with the kubeconfig and a droplet's id, if any, on its input."""
        (self.folder / "run").mkdir(exist_ok=True)
        library = self.folder / "step.sh"
        library.write_text(read("steps/step.sh").replace("/var/lib/triplane/applied", f"{self.folder}/applied"))
        for there, here in (
            (paths.STEP_LIBRARY, str(library)),
            ("/run/triplane/", f"{self.folder}/run/"),
            ("PATH=/usr/local/bin:", f"PATH={self.binaries}:"),
        ):
            assert there in script
            script = script.replace(there, here)
        path = paths.passing_kubeconfig(name).replace("/run/triplane/", f"{self.folder}/run/")
        process = subprocess.Popen(
            # A run under nohup would have steps that no hang-up ends, which sshd's never are.
            ["env", "--default-signal=HUP", "/bin/bash", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stdin
        for file, content in ((path, self.kubeconfig), (f"{path}.droplet", droplet)):
            if content:
                process.stdin.write(f"{file} root:root 600 {b64encode(content.encode()).decode()}\n")
        process.stdin.close()
        process.stdin = None
        return process

    def run(self, script: str, name: str, droplet: str = "") -> Outcome:
        process = self.start(script, name, droplet)
        out, err = process.communicate(timeout=120)
        return Outcome(process.returncode, out, err)


def free_ports(count: int) -> list[int]:
    """Find ports of 127.0.0.1 that nobody listens on, each another one."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(sock.getsockname()[1]) for sock in sockets]


@contextmanager
def serving(folder: Path) -> Iterator[ApiServer]:
    """Start both, on loopback; end both."""
    kubernetes, etcd = (build(PROGRAMS[name]) for name in ("kubernetes", "etcd"))
    client, peer, port = free_ports(3)
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "service-account.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    (folder / "tokens").write_text(f"{TOKEN},admin,admin,system:masters\n")
    commands: list[list[str | Path]] = [
        [
            etcd.path("etcd"),
            f"--data-dir={folder}/etcd",
            f"--listen-client-urls=http://127.0.0.1:{client}",
            f"--advertise-client-urls=http://127.0.0.1:{client}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
        ],
        [
            kubernetes.path("kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{client}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={folder}/serving",
            f"--token-auth-file={folder}/tokens",
            f"--service-account-key-file={folder}/service-account.key",
            f"--service-account-signing-key-file={folder}/service-account.key",
            "--service-account-issuer=https://api.example.com",
            "--service-cluster-ip-range=10.32.0.0/24",
            "--authorization-mode=Node,RBAC",
            # Nobody is there who would make service accounts, or endpoints of the server itself.
            "--disable-admission-plugins=ServiceAccount",
            "--endpoint-reconciler-type=none",
        ],
    ]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "api", "cluster": {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}}
        ],
        "users": [{"name": "admin", "user": {"token": TOKEN}}],
        "contexts": [{"name": "api", "context": {"cluster": "api", "user": "admin"}}],
        "current-context": "api",
    }
    running = []
    try:
        for command in commands:
            # Nothing of it outlives the tests, not even if those are killed.
            with_us = ["setpriv", "--pdeathsig=KILL", *command]
            environment = {**os.environ, "HOME": str(folder)}
            with (folder / f"{Path(command[0]).name}.log").open("w") as log:
                running.append(subprocess.Popen(with_us, stdout=log, stderr=log, env=environment))
        server = ApiServer(folder, yaml.safe_dump(config), kubernetes.path("kubectl").parent)

        def ready() -> bool:
            assert all(process.poll() is None for process in running), (folder / "kube-apiserver.log").read_text()[
                -2000:
            ]
            try:
                return server.kubectl("get", "--raw=/readyz") == "ok"
            except AssertionError:
                return False

        wait_for("the API server is ready", ready)
        yield server
    finally:
        for process in reversed(running):
            process.send_signal(signal.SIGKILL)
            process.wait()
