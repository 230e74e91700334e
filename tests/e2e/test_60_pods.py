"""Pods: where they run, whom they reach, what they are held to, and how a person gets at them."""

from __future__ import annotations

import itertools
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import yaml

from tests.e2e.cluster import Cluster
from tests.e2e.pods import (
    HTTP,
    UDP,
    Manifest,
    Namespace,
    namespace,
    node_name,
    ready,
    run,
    serve,
    spread,
)
from tests.waiting import wait_for

ANYWHERE = [{"operator": "Exists"}]
MASTERS = ("k8s-master-0", "k8s-master-1", "k8s-master-2")
NODES = ("k8s-node-0", "k8s-node-1")


@pytest.fixture(scope="module")
def place(cluster: Cluster) -> Iterator[Namespace]:
    with namespace(cluster, "e2e-pods") as place:
        yield place


@pytest.fixture(scope="module")
def everywhere(place: Namespace) -> dict[str, Manifest]:
    """Host → its pod of a DaemonSet that tolerates everything, so that it runs on masters too."""
    place.group("DaemonSet", "everywhere", serve(tolerations=ANYWHERE))
    pods = place.all_ready("everywhere", len(MASTERS) + len(NODES))
    return {host: pod for pod in pods for host in spread([pod])}


def name_of(pod: Manifest) -> str:
    return str(pod["metadata"]["name"])


def address_of(pod: Manifest) -> str:
    return str(pod["status"]["podIP"])


def test_a_pod_runs_on_every_master_and_every_node(everywhere: dict[str, Manifest]) -> None:
    assert sorted(everywhere) == [*MASTERS, *NODES]


def test_pods_have_addresses_of_their_hosts_lease(cluster: Cluster, everywhere: dict[str, Manifest]) -> None:
    for host, pod in everywhere.items():
        lease = cluster.ssh(host, ". /run/flannel/subnet.env; echo $FLANNEL_SUBNET").strip()
        assert address_of(pod).rpartition(".")[0] == lease.rpartition(".")[0], f"{host} leases {lease}"


def test_every_pod_reaches_every_other_by_its_address(place: Namespace, everywhere: dict[str, Manifest]) -> None:
    for source, target in itertools.permutations(everywhere.values(), 2):
        for port, udp in ((HTTP, False), (UDP, True)):
            assert place.dial(name_of(source), address_of(target), port, udp=udp) == name_of(target), spread([source])


def test_pods_see_each_others_own_addresses(place: Namespace, everywhere: dict[str, Manifest]) -> None:
    # The network model of Kubernetes: no address translation between pods.
    source, target = (everywhere[host] for host in NODES)
    seen = place.dial(name_of(source), address_of(target), request="clientip")
    assert seen.rpartition(":")[0] == address_of(source)


def test_pods_send_packets_that_fit_into_the_overlays(
    cluster: Cluster, place: Namespace, everywhere: dict[str, Manifest]
) -> None:
    outer = int(cluster.ssh("k8s-node-0", "cat /sys/class/net/eth1/mtu"))
    # VXLAN over IPv4 (RFC 7348): 20 bytes of IP, 8 of UDP, 8 of its own, 14 of the inner Ethernet frame.
    for pod in everywhere.values():
        assert int(place.read(name_of(pod), "/sys/class/net/eth0/mtu")) == outer - 50
    whole = outer - 50 - 28
    target = address_of(everywhere["k8s-node-1"])
    cluster.ssh("k8s-node-0", f"ping -c 3 -i 0.2 -W 3 -M do -s {whole} {target}")
    assert "too long" in cluster.ssh("k8s-node-0", f"ping -c 1 -W 3 -M do -s {whole + 1} {target}", fails=True)


def test_large_answers_cross_the_overlay_whole(place: Namespace, everywhere: dict[str, Manifest]) -> None:
    source, target = (everywhere[host] for host in NODES)
    text = "0123456789abcdef" * 1000
    assert place.dial(name_of(source), address_of(target), request=f"echo?msg={text}") == text


@pytest.mark.parametrize("host", ["k8s-node-0", "k8s-master-0"])
def test_a_pod_reaches_the_api_service_with_trusted_certificates(place: Namespace, host: str) -> None:
    spec = run("inclusterclient", "--poll-interval=1", nodeName=node_name(host), tolerations=ANYWHERE)
    name = f"client-on-{host}"
    place.pod(name, spec)

    def log() -> str:
        status, answer = place.api.request("GET", f"{place.path('Pod', name)}/log")
        return str(answer) if status == 200 else ""

    # One call after the other: where the third has begun, two have ended.
    with place.told(name):
        wait_for("three calls", lambda: log().count("calling /healthz") >= 3, 60)
    assert "status=failed" not in log()
    assert "authz_header=<empty>" not in log()


@pytest.fixture(params=MASTERS)
def through(cluster: Cluster, request: pytest.FixtureRequest) -> list[str]:
    """Flags of kubectl that go to the API server of one master."""
    node = cluster.hosts[request.param]
    return [f"--server=https://{node['publicAddress']}:6443", f"--tls-server-name={node['fqdn']}"]


def test_logs_and_exec_and_port_forward_work_through_each_master(
    cluster: Cluster, place: Namespace, everywhere: dict[str, Manifest], through: list[str]
) -> None:
    # On a node and on a master, whose kubelets every master reaches.
    for host in ("k8s-node-1", "k8s-master-0"):
        pod = name_of(everywhere[host])
        assert "Started HTTP server on port" in cluster.run("kubectl", *through, "-n", place.name, "logs", pod)
        command = ("exec", pod, "--", "/agnhost", "connect", "--timeout=5s", f"127.0.0.1:{HTTP}")
        assert cluster.run("kubectl", *through, "-n", place.name, *command) == ""
        with forwarded(cluster, *through, "-n", place.name, pod) as url:
            assert httpx.get(f"{url}/hostname", trust_env=False, timeout=10).text == pod


@contextmanager
def forwarded(cluster: Cluster, *arguments: str) -> Iterator[str]:
    """A local URL of a pod's web server, while it is forwarded."""
    process = cluster.start("kubectl", "port-forward", *arguments, f":{HTTP}")
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.search(r"Forwarding from (127\.0\.0\.1:\d+)", line)
        assert match, line + process.communicate(timeout=30)[0]
        yield f"http://{match[1]}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=30)


def test_a_pod_has_the_default_seccomp_profile_and_a_pid_limit(
    cluster: Cluster, place: Namespace, everywhere: dict[str, Manifest]
) -> None:
    pod = everywhere["k8s-node-0"]
    status = place.read(name_of(pod), "/proc/self/status")
    assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE), status  # proc(5): filter
    uid = str(pod["metadata"]["uid"])
    limits = cluster.ssh("k8s-node-0", f"cat $(find /sys/fs/cgroup -path '*pod*{uid[:8]}*' -name pids.max)").split()
    assert set(limits) - {"max"} == {str(place.kubelet("k8s-node-0")["podPidsLimit"])}


def test_a_pod_gets_its_secret_config_map_token_and_empty_dir(place: Namespace) -> None:
    place.create("Secret", "secret", stringData={"word": "between-us"})
    place.create("ConfigMap", "configuration", data={"colour": "blue"})
    sources: list[Manifest] = [
        {"configMap": {"name": "configuration"}},
        {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 600, "audience": "e2e"}},
    ]
    volumes: list[Manifest] = [
        {"name": "secret", "secret": {"secretName": "secret"}},
        {"name": "projected", "projected": {"sources": sources}},
        {"name": "room", "emptyDir": {}},
    ]
    mounts = [{"name": str(volume["name"]), "mountPath": f"/mnt/{volume['name']}"} for volume in volumes]
    env = [{"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "word"}}}]
    place.pod("volumes", serve(container={"volumeMounts": mounts, "env": env}, volumes=volumes))
    place.all_ready("volumes", 1)
    assert place.read("volumes", "/mnt/secret/word").strip() == "between-us"
    assert place.read("volumes", "/mnt/projected/colour").strip() == "blue"
    assert place.read("volumes", "/mnt/projected/name").strip() == "volumes"
    assert place.read("volumes", "/mnt/projected/token").count(".") == 2
    assert place.fetch("volumes", "envvar?var=WORD") == "between-us"
    written = place.exec("volumes", "/agnhost", "mounttest", "--new_file_0644=/mnt/room/file")
    assert "mount-tester new file" in written
    assert "mount-tester new file" in place.read("volumes", "/mnt/room/file")


def test_a_static_pod_follows_its_manifest_file(cluster: Cluster, place: Namespace) -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "static", "namespace": place.name},
        "spec": run("pause"),
    }
    directory = place.kubelet("k8s-node-0")["staticPodPath"]
    name = f"static-{node_name('k8s-node-0')}"
    text = yaml.safe_dump(manifest)
    cluster.ssh("k8s-node-0", f"umask 077; cat >{directory}/static.yaml <<'END'\n{text}END")
    try:
        wait_for(
            "the mirror pod to be ready",
            lambda: (answer := place.api.request("GET", place.path("Pod", name)))[0] == 200 and ready(answer[1]),
            60,
        )
        mirror = place.get("Pod", name)
        assert mirror["metadata"]["annotations"]["kubernetes.io/config.source"] == "file"
    finally:
        cluster.ssh("k8s-node-0", f"rm {directory}/static.yaml")
    wait_for("the mirror pod to go", lambda: place.api.request("GET", place.path("Pod", name))[0] == 404, 60)


def test_pods_run_on_while_kubelet_and_containerd_restart(
    cluster: Cluster, place: Namespace, everywhere: dict[str, Manifest]
) -> None:
    before = place.get("Pod", name_of(everywhere["k8s-node-0"]))["status"]["containerStatuses"]
    cluster.ssh("k8s-node-0", "systemctl restart containerd && systemctl restart kubelet")
    # A pod of before is not enough: a pod made after the restart is.
    place.pod("after", serve(nodeName=node_name("k8s-node-0")))
    place.all_ready("after", 1)
    pod = place.get("Pod", name_of(everywhere["k8s-node-0"]))
    assert ready(pod)
    after = pod["status"]["containerStatuses"]
    assert [(it["containerID"], it["restartCount"]) for it in after] == [
        (it["containerID"], it["restartCount"]) for it in before
    ]
    assert place.dial("after", address_of(pod)) == name_of(pod)


def unscheduled(place: Namespace, name: str) -> str:
    """Wait for the scheduler's verdict on a pod that fits nowhere, and return it."""

    def verdict() -> str:
        found = place.get("Pod", name)["status"].get("conditions", [])
        return next((str(it["message"]) for it in found if it.get("reason") == "Unschedulable"), "")

    wait_for(f"the scheduler to refuse {name}", lambda: verdict() != "", 30)
    return verdict()


def test_a_pod_without_the_toleration_stays_off_a_master(place: Namespace) -> None:
    place.pod("intruder", run("pause", nodeSelector={"node-role.kubernetes.io/control-plane": ""}))
    assert "untolerated taint" in unscheduled(place, "intruder")


def test_pods_wait_while_all_nodes_are_cordoned(cluster: Cluster, place: Namespace) -> None:
    names = [node_name(host) for host in NODES]
    cluster.run("kubectl", "cordon", *names)
    try:
        place.pod("waiting", serve())
        verdict = unscheduled(place, "waiting")
        assert "2 node(s) were unschedulable" in verdict
        assert "3 node(s) had untolerated taint" in verdict
    finally:
        cluster.run("kubectl", "uncordon", *names)
    place.all_ready("waiting", 1)


def test_a_pod_whose_image_is_nowhere_says_so(place: Namespace) -> None:
    spec = run("pause", container={"image": "registry.k8s.io/there-is-none:1"})
    place.pod("nowhere", spec)

    def reason() -> str:
        statuses = place.get("Pod", "nowhere")["status"].get("containerStatuses", [{}])
        return str(statuses[0].get("state", {}).get("waiting", {}).get("reason"))

    with place.told("nowhere"):
        wait_for("the kubelet to give the reason", lambda: reason() in {"ErrImagePull", "ImagePullBackOff"}, 60)


def test_a_deleted_pod_leaves_nothing_on_its_host(cluster: Cluster, place: Namespace) -> None:
    place.pod("passing", serve(nodeName=node_name("k8s-node-1")))
    uid = place.all_ready("passing", 1)[0]["metadata"]["uid"]
    assert uid in cluster.ssh("k8s-node-1", "ls /var/lib/kubelet/pods")
    place.delete("Pod", "passing")
    wait_for("the kubelet to tidy up", lambda: uid not in cluster.ssh("k8s-node-1", "ls /var/lib/kubelet/pods"), 60)
