"""What tests do with pods: through the API as a program does, and through kubectl where a person would."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx

from tests.e2e.cluster import Api, Cluster, CommandError
from tests.waiting import wait_for

Manifest = dict[str, Any]

AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:2.66.1"

DOMAIN = "internal.lab.triplane.test"
HTTP, UDP = 8080, 8081
"""Where a web server answers."""

KINDS = {
    "ConfigMap": ("v1", "configmaps"),
    "DaemonSet": ("apps/v1", "daemonsets"),
    "Deployment": ("apps/v1", "deployments"),
    "Pod": ("v1", "pods"),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets"),
    "Secret": ("v1", "secrets"),
    "Service": ("v1", "services"),
}
"""Kind → the version and the resource that the API has it under."""


def node_name(host: str) -> str:
    """What Kubernetes calls a host."""
    return f"{host}.{DOMAIN}"


def run(*arguments: str, **spec: Any) -> Manifest:
    """A pod's spec: one container of the image that upstream's own tests use, and what else the spec shall say."""
    container = {"name": "main", "image": AGNHOST, "args": list(arguments), **spec.pop("container", {})}
    return {"containers": [container], "terminationGracePeriodSeconds": 1, **spec}


def serve(*arguments: str, **spec: Any) -> Manifest:
    """A pod's spec: a web server that says its name, and dials others when asked to."""
    probe = {"httpGet": {"path": "/readyz", "port": HTTP}, "periodSeconds": 1}
    more = {"readinessProbe": probe, **spec.pop("container", {})}
    return run("netexec", f"--http-port={HTTP}", f"--udp-port={UDP}", *arguments, container=more, **spec)


def evenly(app: str) -> list[Manifest]:
    """The constraint that spreads an app's pods over hosts, as long as there are several."""
    selector = {"matchLabels": {"app": app}}
    topology = {"topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
    return [{"maxSkew": 1, "labelSelector": selector, **topology}]


def ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def leaving(pod: Mapping[str, Any]) -> bool:
    return "deletionTimestamp" in pod["metadata"]


@dataclass(frozen=True)
class Namespace:
    """A namespace and what is done in it; `api` is the administrator's."""

    cluster: Cluster
    api: Api
    name: str

    def path(self, kind: str, name: str = "") -> str:
        version, resource = KINDS[kind]
        group = "api" if version == "v1" else "apis"
        return f"/{group}/{version}/namespaces/{self.name}/{resource}" + (f"/{name}" if name else "")

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = self.api.request(method, path, body)
        assert status < 300, f"{method} {path}: {status} {answer}"
        return answer

    def create(self, kind: str, name: str, **content: Any) -> Manifest:
        labels = {"app": name} | content.pop("labels", {})
        metadata = {"name": name, "labels": labels}
        manifest = {"apiVersion": KINDS[kind][0], "kind": kind, "metadata": metadata, **content}
        return dict(self.ask("POST", self.path(kind), manifest))

    def pod(self, name: str, spec: Manifest) -> Manifest:
        return self.create("Pod", name, spec=spec)

    def group(self, kind: str, name: str, spec: Manifest, **more: Any) -> Manifest:
        """A Deployment or a DaemonSet."""
        template = {"metadata": {"labels": {"app": name}}, "spec": spec}
        selector = {"matchLabels": {"app": name}}
        return self.create(kind, name, spec={"selector": selector, "template": template, **more})

    def service(self, name: str, **spec: Any) -> Manifest:
        ports = [
            {"name": "http", "port": 80, "targetPort": HTTP},
            {"name": "udp", "port": 81, "targetPort": UDP, "protocol": "UDP"},
        ]
        return self.create("Service", name, spec={"selector": {"app": name}, "ports": ports, **spec})

    def get(self, kind: str, name: str) -> Manifest:
        return dict(self.ask("GET", self.path(kind, name)))

    def patch(self, kind: str, name: str, content: Manifest) -> None:
        """A merge patch (RFC 7386)."""
        self.ask("PATCH", self.path(kind, name), content)

    def delete(self, kind: str, name: str) -> None:
        self.ask("DELETE", self.path(kind, name), {"propagationPolicy": "Foreground"})
        wait_for(f"{kind} {name} to be gone", lambda: self.api.request("GET", self.path(kind, name))[0] == 404)

    def roll(self, name: str) -> None:
        """Replace every pod of a Deployment, as `kubectl rollout` does, and wait for the end of it."""
        here = ("--namespace", self.name, f"deployment/{name}")
        self.cluster.run("kubectl", "rollout", "restart", *here)
        with self.told(name):
            self.cluster.run("kubectl", "rollout", "status", "--timeout=180s", *here)

    def kubelet(self, host: str) -> Manifest:
        """The configuration that a host's kubelet says it has."""
        return dict(self.ask("GET", f"/api/v1/nodes/{node_name(host)}/proxy/configz")["kubeletconfig"])

    def pods(self, app: str) -> list[Manifest]:
        """Those of an app that are not about to go, by name."""
        found = self.ask("GET", f"{self.path('Pod')}?labelSelector=app%3D{app}")["items"]
        return sorted((pod for pod in found if not leaving(pod)), key=lambda pod: str(pod["metadata"]["name"]))

    def all_ready(self, app: str, count: int, seconds: float = 90) -> list[Manifest]:
        """Wait until as many pods as there should be are ready, and no more; what hinders them is in the error."""

        def there() -> bool:
            pods = self.pods(app)
            return len(pods) == count and all(map(ready, pods))

        with self.told(app):
            wait_for(f"{count} pods {app} to be ready", there, seconds)
        return self.pods(app)

    @contextmanager
    def told(self, app: str) -> Iterator[None]:
        """Where a wait in it fails, the error says what became of the app's pods."""
        try:
            yield
        except AssertionError as error:
            here = ("--namespace", self.name, "--selector", f"app={app}")
            nodes = self.cluster.tries("kubectl", "get", "nodes", "-o", "wide")
            pods = self.cluster.tries("kubectl", "get", "pods", "-o", "wide", *here)
            described = self.cluster.tries("kubectl", "describe", "pods", *here)
            logs = self.cluster.tries("kubectl", "logs", "--tail=5", "--prefix", *here)
            raise CommandError(f"{error}\n{nodes}\n{pods}\n{described[-6000:]}\n{logs[-2000:]}") from error

    def exec(self, pod: str, *command: str) -> str:
        return self.cluster.run("kubectl", "exec", "--namespace", self.name, pod, "--", *command)

    def read(self, pod: str, path: str) -> str:
        """A file as a process in the pod sees it: there is no `cat`, but a program of upstream's own tests."""
        return self.exec(pod, "/agnhost", "mounttest", f"--file_content={path}").partition(": ")[2]

    def fetch(self, pod: str, path: str) -> Any:
        """What a pod's web server answers, through the API."""
        return self.ask("GET", f"{self.path('Pod', pod)}:{HTTP}/proxy/{path}")

    def dial(self, pod: str, host: str, port: int = HTTP, *, request: str = "hostname", udp: bool = False) -> str:
        """What a pod gets to hear when it calls another address; the pod's own words where it hears nothing."""
        query = {"host": host, "port": port, "request": request, "protocol": "udp" if udp else "http", "tries": 1}
        answer = self.fetch(pod, f"dial?{urlencode(query)}")
        responses = answer.get("responses", []) if isinstance(answer, dict) else []
        return str(responses[0]) if len(responses) == 1 else f"no answer: {json.dumps(answer)}"


@contextmanager
def namespace(cluster: Cluster, name: str) -> Iterator[Namespace]:
    """A namespace, for as long as its tests run."""
    with cluster.api() as api:
        place = Namespace(cluster, api, name)
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        place.ask("POST", "/api/v1/namespaces", manifest)
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        wait_for(f"the service account of {name}", lambda: api.request("GET", account)[0] == 200)
        try:
            yield place
        finally:
            place.ask("DELETE", f"/api/v1/namespaces/{name}")
            wait_for(f"{name} to be gone", lambda: api.request("GET", f"/api/v1/namespaces/{name}")[0] == 404)


def spread(pods: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Host → how many of these pods run there."""
    hosts = [str(pod["spec"]["nodeName"]).removesuffix(f".{DOMAIN}") for pod in pods]
    return {host: hosts.count(host) for host in sorted(set(hosts))}


@dataclass
class Visitor:
    """Asks web servers in turn, a connection a request, until told to stop; what fails is kept."""

    urls: Sequence[str]
    timeout: float = 3
    requests: int = 0
    failures: list[str] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)
    silence: float = 0
    """Seconds of the longest time without any answer."""
    in_a_row: int = 0
    """Calls answered since the last failure."""
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[Visitor]:
        thread = threading.Thread(target=self._loop)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def _loop(self) -> None:
        heard = time.monotonic()
        limits = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(trust_env=False, timeout=self.timeout, limits=limits) as client:
            while not self._stop.wait(0.01):
                url = self.urls[self.requests % len(self.urls)]
                self.requests += 1
                try:
                    response = client.get(url)
                    response.raise_for_status()
                    self.answered.add(response.text)
                    self.in_a_row += 1
                    heard = time.monotonic()
                except httpx.HTTPError as error:
                    self.failures.append(f"{time.strftime('%X')} {url}: {error!r}")
                    self.in_a_row = 0
                self.silence = max(self.silence, time.monotonic() - heard)
