"""Services: an address, a port and a name in front of pods that come and go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dns.message
import dns.rdatatype
import httpx
import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.pods import Manifest, Namespace, Visitor, evenly, namespace, node_name, ready, serve, spread
from tests.waiting import wait_for

NAME = "web"
NODE_PORT = 30080
DNS = "10.32.0.10"


@pytest.fixture(scope="module")
def place(cluster: Cluster) -> Iterator[Namespace]:
    with namespace(cluster, "e2e-services") as place:
        yield place


@pytest.fixture(scope="module")
def web(place: Namespace) -> Manifest:
    """Twenty web servers behind a service; the service as the API has it."""
    # A server that is told to go serves on until everybody knows.
    spec = serve("--delay-shutdown=5", terminationGracePeriodSeconds=10, topologySpreadConstraints=evenly(NAME))
    place.group("Deployment", NAME, spec, replicas=20)
    ports = [
        {"name": "http", "port": 80, "targetPort": 8080, "nodePort": NODE_PORT},
        {"name": "udp", "port": 81, "targetPort": 8081, "protocol": "UDP"},
    ]
    service = place.service(NAME, type="NodePort", ports=ports)
    place.all_ready(NAME, 20)
    return service


@pytest.fixture(scope="module")
def client(place: Namespace) -> str:
    """A pod that calls others, on a node of its own choice."""
    place.pod("client", serve())
    place.all_ready("client", 1)
    return "client"


def outside(cluster: Cluster, *hosts: str) -> list[str]:
    """The node port's URLs as this machine, which may, calls them."""
    return [f"http://{cluster.hosts[host]['publicAddress']}:{NODE_PORT}/hostname" for host in hosts]


def test_twenty_pods_are_spread_over_the_nodes(place: Namespace, web: Manifest) -> None:
    counts = spread(place.pods(NAME))
    assert set(counts) == {"k8s-node-0", "k8s-node-1"}
    assert min(counts.values()) >= 8


def test_a_service_spreads_calls_to_its_address_over_its_pods(place: Namespace, web: Manifest, client: str) -> None:
    pods = {pod["metadata"]["name"] for pod in place.pods(NAME)}
    for port, udp in ((80, False), (81, True)):
        heard = {place.dial(client, web["spec"]["clusterIP"], port, udp=udp) for _ in range(30)}
        assert heard <= pods
        # Thirty calls to twenty pods at random: that five or fewer answer has odds of one in a million million.
        assert len(heard) > 5


def test_a_service_answers_on_the_node_port_of_every_host(cluster: Cluster, place: Namespace, web: Manifest) -> None:
    pods = {pod["metadata"]["name"] for pod in place.pods(NAME)}
    hosts = [name for name, node in cluster.hosts.items() if "etcd" not in node["roles"]]
    assert len(hosts) == 5
    for url in outside(cluster, *hosts):
        assert httpx.get(url, trust_env=False, timeout=10).text in pods


def test_a_node_port_is_shut_to_hosts_that_are_not_named(cluster: Cluster, web: Manifest) -> None:
    node = cluster.hosts["k8s-node-0"]
    for address in (node["publicAddress"], node["privateAddress"]):
        ask = f"curl --silent --show-error --connect-timeout 2 --max-time 5 http://{address}:{NODE_PORT}/hostname"
        output = cluster.ssh("etcd-0", ask, fails=True)
        assert "curl: (28)" in output, "dropped, not refused"
    assert cluster.ssh("k8s-master-0", ask).startswith(NAME)


@pytest.mark.parametrize(
    "name", [NAME, f"{NAME}.e2e-services", f"{NAME}.e2e-services.svc", f"{NAME}.e2e-services.svc.cluster.local"]
)
def test_a_service_has_a_name(place: Namespace, web: Manifest, client: str, name: str) -> None:
    assert place.dial(client, name, 80).startswith(f"{NAME}-")


def test_the_c_library_of_a_pod_resolves_names_as_well(place: Namespace, web: Manifest, client: str) -> None:
    assert place.exec(client, "getent", "hosts", NAME).split() == [
        web["spec"]["clusterIP"],
        f"{NAME}.e2e-services.svc.cluster.local",
    ]
    assert client in place.exec(client, "getent", "hosts", client).split()


def test_names_outside_of_the_cluster_resolve_in_pods(place: Namespace, client: str) -> None:
    place.exec(client, "/agnhost", "connect", "--timeout=5s", "api.lab.triplane.test:6443")
    place.create("Service", "elsewhere", spec={"type": "ExternalName", "externalName": "api.lab.triplane.test"})
    place.exec(client, "/agnhost", "connect", "--timeout=5s", "elsewhere:6443")


def test_a_name_that_is_nowhere_is_not_resolved(cluster: Cluster, place: Namespace, client: str) -> None:
    command = ("kubectl", "exec", "-n", place.name, client, "--", "/agnhost", "connect", "--timeout=5s")
    assert "DNS: " in cluster.run(*command, f"nobody.{place.name}:80", fails=True)


def asked(cluster: Cluster, name: str, kind: str = "A", server: str = DNS) -> list[Any]:
    """Have a node ask a name server, as a pod's resolver does: thrice, a second each. What it answers of this kind."""
    query = dns.message.make_query(name, kind)
    code = (
        "import socket,sys\n"
        "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(1)\n"
        "for _ in range(3):\n"
        f'  s.sendto(bytes.fromhex("{query.to_wire().hex()}"),("{server}",53))\n'
        "  try: print(s.recv(4096).hex()); sys.exit()\n"
        "  except TimeoutError: pass\n"
        'sys.exit("no answer")'
    )
    reply = dns.message.from_wire(bytes.fromhex(cluster.ssh("k8s-node-0", f"python3 -c '{code}'").strip()))
    return [data for records in reply.answer for data in records if records.rdtype == dns.rdatatype.from_text(kind)]


def test_an_address_of_a_service_resolves_to_its_name(cluster: Cluster, web: Manifest) -> None:
    reverse = ".".join(reversed(web["spec"]["clusterIP"].split(".")))
    answer = asked(cluster, f"{reverse}.in-addr.arpa", "PTR")
    assert list(map(str, answer)) == [f"{NAME}.e2e-services.svc.cluster.local."]


def test_ports_of_a_service_have_names(cluster: Cluster, web: Manifest) -> None:
    answer = asked(cluster, f"_http._tcp.{NAME}.e2e-services.svc.cluster.local", "SRV")
    assert [data.port for data in answer] == [80]


def test_a_pod_reaches_itself_through_its_service(place: Namespace) -> None:
    place.pod("alone", serve())
    service = place.service("alone")
    place.all_ready("alone", 1)
    heard = []

    def answers() -> bool:
        heard.append(place.dial("alone", service["spec"]["clusterIP"], 80))
        return heard[-1] == "alone"

    wait_for("the pod to answer itself", answers, 20)
    assert all(place.dial("alone", service["spec"]["clusterIP"], 80) == "alone" for _ in range(5)), heard


def test_a_service_passes_over_pods_that_are_not_ready(place: Namespace, client: str) -> None:
    never = {"readinessProbe": {"httpGet": {"path": "/echo?code=500", "port": 8080}, "periodSeconds": 1}}
    service = place.service("half")
    for name, more in (("good", {}), ("bad", {"container": never})):
        place.create("Pod", name, labels={"app": "half"}, spec=serve(**more))
    with place.told("half"):
        wait_for(
            "both pods to run and one to be ready",
            lambda: (
                sorted((pod["status"]["phase"], ready(pod)) for pod in place.pods("half"))
                == [("Running", False), ("Running", True)]
            ),
            60,
        )
    wait_for("the service to answer", lambda: place.dial(client, service["spec"]["clusterIP"], 80) == "good", 20)
    assert {place.dial(client, service["spec"]["clusterIP"], 80) for _ in range(10)} == {"good"}


def test_a_deployment_is_rolled_without_a_failed_request(cluster: Cluster, place: Namespace, web: Manifest) -> None:
    before = {pod["metadata"]["name"] for pod in place.pods(NAME)}
    with Visitor(outside(cluster, "k8s-node-0", "k8s-node-1", "k8s-master-0")).running() as visitor:
        place.roll(NAME)
    after = {pod["metadata"]["name"] for pod in place.all_ready(NAME, 20)}
    assert visitor.failures == []
    assert visitor.requests > 100
    assert before & after == set()
    assert visitor.answered & before
    assert visitor.answered & after


def test_a_deployment_is_scaled_without_a_failed_request(cluster: Cluster, place: Namespace, web: Manifest) -> None:
    with Visitor(outside(cluster, "k8s-node-0", "k8s-node-1")).running() as visitor:
        for count in (4, 8):
            place.patch("Deployment", NAME, {"spec": {"replicas": count}})
            place.all_ready(NAME, count)
    assert visitor.failures == []


def resolvers(place: Namespace) -> list[Manifest]:
    system = Namespace(place.cluster, place.api, "kube-system")
    found = system.ask("GET", f"{system.path('Pod')}?labelSelector=k8s-app%3Dkube-dns")["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def test_two_pods_on_different_hosts_each_resolve_names_alone(
    cluster: Cluster, place: Namespace, web: Manifest
) -> None:
    pods = resolvers(place)
    assert len(pods) == 2
    assert all(map(ready, pods))
    assert len(spread(pods)) == 2
    assert all("@sha256:" in pod["spec"]["containers"][0]["image"] for pod in pods)
    for pod in pods:
        answer = asked(cluster, f"{NAME}.e2e-services.svc.cluster.local", server=pod["status"]["podIP"])
        assert list(map(str, answer)) == [web["spec"]["clusterIP"]]


def test_names_resolve_while_one_of_the_two_is_killed(cluster: Cluster, place: Namespace, web: Manifest) -> None:
    pod = resolvers(place)[0]
    host = next(iter(spread([pod])))
    restarts = pod["status"]["containerStatuses"][0]["restartCount"]
    uid = pod["metadata"]["uid"].replace("-", "[-_]")
    kill = f"for p in $(pgrep -x coredns); do grep -q '{uid}' /proc/$p/cgroup && kill -KILL $p; done"
    cluster.ssh(host, f"{kill}; true")
    again = Namespace(place.cluster, place.api, "kube-system")
    name = pod["metadata"]["name"]

    def restarted() -> bool:
        assert list(map(str, asked(cluster, f"{NAME}.e2e-services.svc.cluster.local"))) == [web["spec"]["clusterIP"]]
        found = again.get("Pod", name)
        return ready(found) and found["status"]["containerStatuses"][0]["restartCount"] > restarts

    wait_for("the killed one to be back", restarted, 90)


def test_a_pod_may_have_the_ports_of_its_host(cluster: Cluster, place: Namespace) -> None:
    ports = [{"containerPort": 8080, "hostPort": 31900}]
    place.pod("host-port", serve(nodeName=node_name("k8s-node-1"), container={"ports": ports}))
    place.all_ready("host-port", 1)
    address = cluster.hosts["k8s-node-1"]["privateAddress"]
    assert cluster.ssh("k8s-master-0", f"curl --silent --max-time 5 http://{address}:31900/hostname") == "host-port"
