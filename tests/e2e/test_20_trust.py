"""Who gets in: certificates, ports, and where secrets stand."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from model.services import kube_proxy, kubelet
from tests.certificates import self_signed
from tests.e2e.cluster import Cluster, decoded, lines_with

CLIENT = "https://etcd-0.internal.lab.triplane.test:2379/etcdserverpb.Maintenance/Status"
PEER = "https://etcd-0.internal.lab.triplane.test:2380/members"
GRPC = "--http2 --header 'Content-Type: application/grpc' --header 'TE: trailers' --data-binary @-"
PKI = "/etc/etcd/pki"
REFUSED = "alert"
"""What curl says of a handshake that the other side broke off."""


def curl(url: str, certificate: str | None) -> str:
    """Ask etcd for its version or members, trusting whatever it shows: it is the other side's check that is tested.

    With TLS 1.2 the refusal is part of the handshake, and curl always gets to see it.
    """
    identity = f"--cert {certificate}.crt --key {certificate}.key" if certificate else ""
    protocol = GRPC if url == CLIENT else "--http1.1"
    options = f"--silent --show-error {protocol} --insecure --tls-max 1.2 --max-time 5 {identity}"
    # An empty message of gRPC: a flag and a length.
    return f"printf '\\0\\0\\0\\0\\0' | curl {options} {url}"


@pytest.fixture(scope="module")
def stranger(cluster: Cluster) -> Iterator[str]:
    """A certificate of an authority that nobody knows, with all the right names, on etcd-1."""
    public, private = self_signed("etcdctl-etcd-1")
    cluster.ssh(
        "etcd-1", f"echo '{private.decode()}' >/root/stranger.key; echo '{public.decode()}' >/root/stranger.crt"
    )
    yield "/root/stranger"
    cluster.ssh("etcd-1", "rm /root/stranger.*")


def test_etcd_lets_its_clients_in(cluster: Cluster) -> None:
    assert "3.6.14" in cluster.ssh("etcd-1", curl(CLIENT, f"{PKI}/etcdctl"))


def test_etcd_refuses_a_client_without_certificate(cluster: Cluster) -> None:
    assert REFUSED in cluster.ssh("etcd-1", curl(CLIENT, None), fails=True)


def test_etcd_refuses_a_client_of_another_authority(cluster: Cluster, stranger: str) -> None:
    assert REFUSED in cluster.ssh("etcd-1", curl(CLIENT, stranger), fails=True)


def test_etcd_refuses_a_servers_certificate_as_a_clients(cluster: Cluster) -> None:
    assert REFUSED in cluster.ssh("etcd-1", curl(CLIENT, f"{PKI}/server"), fails=True)


def test_etcd_peers_let_each_other_in(cluster: Cluster) -> None:
    assert "etcd-1" in cluster.ssh("etcd-1", curl(PEER, f"{PKI}/peer"))


@pytest.mark.parametrize("certificate", ["etcdctl", "server"])
def test_etcd_refuses_a_client_or_server_certificate_as_a_peers(cluster: Cluster, certificate: str) -> None:
    assert REFUSED in cluster.ssh("etcd-1", curl(PEER, f"{PKI}/{certificate}"), fails=True)


def test_etcd_keeps_its_data_and_keys_to_itself(cluster: Cluster) -> None:
    stat = "stat --format '%U:%G %a' /var/lib/etcd /etc/etcd/pki/peer.key /etc/etcd/pki/etcdctl.key"
    assert cluster.ssh("etcd-0", stat).split("\n")[:3] == ["etcd:etcd 700", "etcd:etcd 600", "root:root 600"]
    assert cluster.ssh("etcd-0", "ps -o user= -C etcd").strip() == "etcd"


def test_files_of_the_control_plane_belong_to_root_alone(cluster: Cluster) -> None:
    loose = (
        "find /etc/kubernetes /etc/flannel /etc/systemd/system/kube-*.service -type f ( -perm /077 -o ! -user root )"
    )
    assert cluster.ssh("k8s-master-0", loose.replace("(", "\\(").replace(")", "\\)")).strip() == ""


# From → to → TCP ports that are open on the private and on the public address; all others asked about must not be.
HOSTS = {"etcd": "etcd-0", "master": "k8s-master-0", "node": "k8s-node-0"}
OTHER = {"etcd": "etcd-1", "master": "k8s-master-1", "node": "k8s-node-1"}
NOTHING: set[int] = set()
OPEN = {
    # etcd listens on its private address alone.
    ("etcd", "etcd"): ({2379, 2380}, NOTHING),
    ("etcd", "master"): (NOTHING, NOTHING),
    ("etcd", "node"): (NOTHING, NOTHING),
    ("master", "etcd"): ({2379}, NOTHING),
    ("master", "master"): ({6443, 10250, 31234}, {6443, 10250, 31234}),
    ("master", "node"): ({10250, 31234}, {10250, 31234}),
    ("node", "etcd"): ({2379}, NOTHING),
    ("node", "master"): ({6443, 31234}, {6443, 31234}),
    ("node", "node"): ({31234}, {31234}),
}
# 2222 is the door of the first connection: behind it is nothing but what this test put there.
OPEN_TO_OPERATOR = {"etcd": {22, 2222}, "master": {22, 2222, 6443, 31234}, "node": {22, 2222, 31234}}
ASKED = (22, 2222, 2379, 2380, 2381, 2382, 6443, 8471, 10248, 10249, 10250, 10255, 10256, 10257, 10259, 31234)
# All at once, for each that is closed keeps silent.
PROBE = """python3 - <<'EOF'
import itertools, socket
from concurrent.futures import ThreadPoolExecutor

def answers(where):
    with socket.socket() as s:
        s.settimeout(2)
        return s.connect_ex(where) == 0

asked = list(itertools.product({addresses}, {ports}))
with ThreadPoolExecutor(len(asked)) as pool:
    for where, answered in zip(asked, pool.map(answers, asked)):
        if answered:
            print("open", *where)
EOF"""


def seen_open(output: str) -> set[tuple[str, int]]:
    """What PROBE found: addresses with ports."""
    return {(line.split()[1], int(line.split()[2])) for line in output.splitlines() if line.startswith("open")}


@pytest.fixture(scope="module")
def listeners(cluster: Cluster) -> Iterator[None]:
    """On each host something listens on each port asked about: it is the firewall that must close them."""
    code = (
        "import socket,time\n"
        "kept=[]\n"
        f"for p in {ASKED}:\n"
        "  s=socket.socket(); s.setsockopt(socket.SOL_SOCKET,socket.SO_REUSEADDR,1)\n"
        '  try: s.bind(("0.0.0.0",p)); s.listen(50); kept.append(s)\n'
        "  except OSError: pass\n"
        "time.sleep(3600)"
    )
    hosts = [*HOSTS.values(), *OTHER.values()]
    for host in hosts:
        cluster.ssh(host, f"systemd-run --quiet --unit=listeners python3 -c '{code}'")
    yield
    for host in hosts:
        cluster.ssh(host, "systemctl stop listeners")


@pytest.mark.parametrize(("source", "target"), OPEN)
def test_only_the_ports_meant_for_a_host_are_open_to_it(
    cluster: Cluster, listeners: None, source: str, target: str
) -> None:
    node = cluster.hosts[OTHER[target]]
    addresses = [node["privateAddress"], node["publicAddress"]]
    output = cluster.ssh(HOSTS[source], PROBE.format(addresses=addresses, ports=ASKED))
    expected = zip(addresses, OPEN[source, target], strict=True)
    assert seen_open(output) == {(address, port) for address, ports in expected for port in ports}


@pytest.mark.parametrize("target", HOSTS)
def test_only_the_ports_meant_for_the_operator_are_open_to_it(cluster: Cluster, listeners: None, target: str) -> None:
    address = cluster.hosts[OTHER[target]]["publicAddress"]
    probe = PROBE.format(addresses=[address], ports=ASKED)
    output = subprocess.run(["bash", "-c", probe], capture_output=True, text=True, check=True).stdout
    assert seen_open(output) == {(address, port) for port in OPEN_TO_OPERATOR[target]}


def test_hosts_send_nothing_out_that_is_not_named(cluster: Cluster) -> None:
    # 8001 is the mirror, 53 the name server; 8000 is open to hosts under no firewall.
    for host in HOSTS.values():
        output = cluster.ssh(host, PROBE.format(addresses=["198.19.0.1"], ports=(53, 8000, 8001)))
        assert seen_open(output) == {("198.19.0.1", 53), ("198.19.0.1", 8001)}


def test_secrets_stand_in_the_open_nowhere(cluster: Cluster) -> None:
    outputs = cluster.outputs
    key = next(
        line.split(": ")[1] for line in outputs["kubeconfig"].splitlines() if line.strip().startswith("client-key-data")
    )
    body = decoded(key).splitlines()[1]
    needles = [*cluster.tokens.values(), key[:60], body, outputs["deployKey"].splitlines()[2]]
    for host in ("k8s-node-0", "k8s-master-0"):
        for path in (kubelet.KUBECONFIG, kube_proxy.KUBECONFIG):
            text = cluster.ssh(host, f"sed -n 's/.*client-key-data: //p' {path}").strip()
            needles += [text[:60], decoded(text).splitlines()[1]]
        needles.append(cluster.ssh(host, f"cat {kubelet.PKI}/*.key").splitlines()[1])
    assert all(len(needle) > 30 for needle in needles)
    pulumi = [cluster.directory / name for name in ("state", "pulumi-home", "Pulumi.lab.yaml", "outputs.json")]
    logs = list((cluster.directory / "lab").glob("*.log"))
    assert logs
    assert lines_with([*needles, "PRIVATE KEY-----"], [*(path for path in pulumi if path.exists()), *logs]) == []


def test_no_process_and_no_log_on_a_host_holds_a_key(cluster: Cluster) -> None:
    # The patterns are written so that they do not find themselves; a kubeconfig's key is in base64.
    pattern = "-e 'PRIVATE[ ]KEY' -e 'client-key-[d]ata: [A-Za-z0-9]'"
    find = (
        f"cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | grep -ac {pattern}; "
        f"journalctl --no-pager | grep -c {pattern}; true"
    )
    for host in HOSTS.values():
        assert cluster.ssh(host, find).split() == ["0", "0"]


def test_no_temporary_secret_is_left_in_memory_file_systems(cluster: Cluster) -> None:
    find = (
        r"grep -rlIs --exclude-dir=containerd -e 'PRIVATE[ ]KEY' -e 'client-key-[d]ata' /run /tmp /dev/shm /root; true"
    )
    for host in HOSTS.values():
        assert cluster.ssh(host, find).strip() == ""


def test_the_bootstrap_ssh_port_and_key_are_removed(cluster: Cluster) -> None:
    for host in HOSTS.values():
        assert cluster.ssh(host, "ls /etc/ssh/ssh_bootstrap_key; true").count("No such file") == 1
        assert "ssh-bootstrap" not in cluster.ssh(host, "systemctl list-units --all --no-legend 'ssh*'")
