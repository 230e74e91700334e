"""Starting pods and timing it, against an API that a test plays: what counts, from when to when."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from launcher.bench import pod_start
from launcher.errors import LauncherError

RUNNING = {"containerStatuses": [{"state": {"running": {}}}], "phase": "Running"}
WAITING = {
    "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}],
    "phase": "Pending",
}


def pod(status: dict[str, Any], containers: int = 1) -> dict[str, Any]:
    return {"metadata": {"name": "pod-0"}, "spec": {"containers": [{}] * containers}, "status": status}


@pytest.mark.parametrize(
    ("found", "yes"),
    [
        (pod({}), False),
        (pod(WAITING), False),
        (pod(RUNNING), True),
        (pod(RUNNING, containers=2), False),
        (pod({"containerStatuses": [{"state": {"terminated": {"exitCode": 1}}}]}), True),
    ],
)
def test_a_pod_has_started_when_all_its_containers_have(found: Any, yes: Any) -> None:
    assert pod_start.started(found) is yes


@pytest.mark.parametrize(("percent", "value"), [(50, 25), (90, 45), (99, 50), (100, 50)])
def test_a_percentile_is_one_of_the_values(percent: int, value: float) -> None:
    assert pod_start.percentile([float(number) for number in range(50, 0, -1)], percent) == value


class Api(httpx.SyncByteStream):
    """An API server with a single list of pods; each is seen waiting, and then `late` seconds after it was made."""

    def __init__(self, late: float, last: dict[str, Any]) -> None:
        self.late, self.last = late, last
        self.made: list[dict[str, Any]] = []
        self.refused = ""
        self._new = threading.Condition()

    def handle(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            if self.refused:
                return httpx.Response(403, json={"message": self.refused})
            with self._new:
                self.made.append(json.loads(request.content))
                self._new.notify()
            return httpx.Response(201, json={})
        if "watch" in request.url.params:
            return httpx.Response(200, stream=self)
        return httpx.Response(200, json={"metadata": {"resourceVersion": "1"}})

    def _has(self, number: int) -> bool:
        return len(self.made) > number

    def __iter__(self) -> Iterator[bytes]:
        for number in range(3):
            with self._new:
                if not self._new.wait_for(partial(self._has, number), timeout=2):
                    return
            for status, pause in ((WAITING, self.late), (self.last, 0.0)):
                yield json.dumps({"object": self.made[number] | {"status": status}}).encode() + b"\n"
                time.sleep(pause)


def start(api: Api) -> list[float]:
    with httpx.Client(base_url="http://api", transport=httpx.MockTransport(api.handle)) as client:
        return pod_start._start(client, [pod_start.pod(f"pod-{number}", "pause") for number in range(3)], per_second=50)


def test_pod_start_time_is_from_request_until_seen_running() -> None:
    taken = start(Api(0.2, RUNNING))
    assert len(taken) == 3
    assert 0.2 <= min(taken) <= max(taken) < 2


def test_a_pod_that_does_not_start_is_named_with_its_reason() -> None:
    with pytest.raises(LauncherError, match=r"3 of 3 have not started: pod-0 \(ImagePullBackOff no such image\)"):
        start(Api(0.0, WAITING))


def test_a_pod_that_is_refused_is_told_in_the_apis_words() -> None:
    api = Api(0.0, RUNNING)
    api.refused = "quota exceeded"
    with pytest.raises(LauncherError, match="refused /api/v1/namespaces/triplane-bench/pods: quota exceeded"):
        start(api)
