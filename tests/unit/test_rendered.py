"""What reaches hosts: golden files show a change's effect in the review, and the tools of the trade accept them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from model import addons
from model.assets import ASSETS
from model.files import END_OF_FILE
from model.past import NOTHING
from model.services import etcd, kube_apiserver, kubelet, registry
from model.services.registry import SERVICES
from model.steps import objects
from settings.cluster import cluster_of
from settings.load import parse
from tests.unit.rendered import CLUSTER, TOPOLOGY, documents, steps, with_flags
from tests.unit.test_settings import MINIMAL

SHELLCHECK = str(Path(sys.executable).with_name("shellcheck"))
GOLDEN = Path(__file__).resolve().parents[1] / "golden/hosts"
SERVICES_FOLDER = Path(registry.__file__).parent
RENDERED = steps() | documents()
HEREDOC = re.compile(rf"put (\S+) \S+ \S+ <<'{END_OF_FILE}'\n(.*?){END_OF_FILE}\n", re.DOTALL)


def files(script: str) -> dict[str, str]:
    return dict(HEREDOC.findall(script))


@pytest.mark.parametrize("name", RENDERED)
def test_what_is_rendered_is_what_was_reviewed(name: str, request: pytest.FixtureRequest) -> None:
    path = GOLDEN / name
    if request.config.getoption("--update-golden"):
        path.write_text(RENDERED[name])
    assert RENDERED[name] == path.read_text(), f"{name} changed: look at it, then pytest --update-golden"


# Where a droplet is named as its node is, cloud-init writes that name to /etc/hosts, at 127.0.1.1.
def test_a_member_listens_on_every_address_of_its_name() -> None:
    listen = next(line for line in RENDERED["etcd-last.sh"].splitlines() if "--listen-client-urls=" in line)
    assert {"https://${PRIVATE_ADDRESS}:2379", "https://127.0.0.1:2379", "https://127.0.1.1:2379"} == set(
        listen.split("=", 1)[1].split(",")
    )


def test_no_golden_file_is_left_over() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == set(RENDERED)


def test_every_service_is_in_the_registry_and_has_a_golden_file() -> None:
    assert {path.stem for path in SERVICES_FOLDER.glob("*.py")} - {"__init__", "registry", "cni"} == {
        service.__name__.rpartition(".")[2] for service in SERVICES
    }
    scripts = {service.NAME: [name for name in RENDERED if name.startswith(service.NAME)] for service in SERVICES}
    assert [name for name, found in scripts.items() if not found] == []


def test_every_add_on_has_a_golden_file() -> None:
    files = {path.stem for path in Path(addons.__file__).parent.glob("*.py")} - {"__init__"}
    assert {f"{name}.sh" for name in files} - RENDERED.keys() == set()


@pytest.mark.parametrize("name", steps())
def test_shellcheck_accepts_every_step(name: str) -> None:
    # SC1090, SC1091: sourced files are on the host. SC2034, SC2153: names that the library reads or sets.
    command = [SHELLCHECK, "--shell=bash", "--exclude=SC1090,SC1091,SC2034,SC2153", "-"]
    result = subprocess.run(command, input=RENDERED[name], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_shellcheck_accepts_the_step_library() -> None:
    result = subprocess.run([SHELLCHECK, str(ASSETS / "steps/step.sh")], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


UNITS = {
    path: content
    for script in steps().values()
    for path, content in files(script).items()
    if path.startswith("/etc/systemd/system/")
}


@pytest.mark.parametrize("path", UNITS)
def test_systemd_accepts_every_unit(path: str, tmp_path: Path) -> None:
    unit = tmp_path / Path(path).name
    # The programs are not on this machine.
    unit.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", UNITS[path]))
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    complaints = [line for line in result.stderr.splitlines() if unit.name in line]
    assert complaints == []


# What runs pods shares the host's mounts with others, and whatever it may not do, pods may not do either.
RUNTIMES = {"containerd.service", "kubelet.service"}
SERVICES_OF_TRIPLANE = [path for path in UNITS if path.endswith(".service") and Path(path).name not in RUNTIMES]


@pytest.mark.parametrize("path", [path for path in UNITS if "\n[Service]\n" in UNITS[path]])
def test_every_service_is_started_again(path: str) -> None:
    restart = "on-failure" if "\nType=oneshot\n" in UNITS[path] else "always"
    assert f"\nRestart={restart}\n" in UNITS[path]
    assert "\nStartLimitIntervalSec=0\n" in UNITS[path]


@pytest.mark.parametrize("path", SERVICES_OF_TRIPLANE)
def test_every_service_is_hardened(path: str) -> None:
    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "PrivateTmp=yes", "ProtectHome=yes"):
        assert f"\n{line}\n" in UNITS[path]
    assert "\nCapabilityBoundingSet=" in UNITS[path]


@pytest.mark.parametrize("name", steps())
def test_yaml_files_are_yaml(name: str) -> None:
    for path, content in files(RENDERED[name]).items():
        if path.endswith(".yaml"):
            assert yaml.safe_load(content)["kind"], path


GONE = re.compile(
    r"--(insecure-port|address|port|enable-taint-manager|pod-eviction-timeout|admission-control)=",
    re.MULTILINE,
)


@pytest.mark.parametrize("name", steps())
def test_no_flag_that_is_gone_is_used(name: str) -> None:
    assert not GONE.search(RENDERED[name])


def test_no_insecure_port_and_anonymous_access_to_health_only() -> None:
    script = RENDERED["kube-apiserver.sh"]
    document = yaml.safe_load(files(script)["/etc/kubernetes/authentication.yaml"])
    assert {condition["path"] for condition in document["anonymous"]["conditions"]} == {"/livez", "/readyz", "/healthz"}
    assert "http://" not in files(script)["/etc/systemd/system/kube-apiserver.service"]


@pytest.mark.parametrize(
    "flag",
    [
        "authorization-mode=Node,RBAC",
        "service-cluster-ip-range=10.32.0.0/24",
        "service-node-port-range=30000-32767",
        "audit-log-maxage=30",
        "audit-log-maxbackup=10",
        "audit-log-maxsize=100",
        "profiling=false",
        "service-account-extend-token-expiration=false",
        "encryption-provider-config=/etc/kubernetes/encryption.yaml",
    ],
)
def test_the_api_server_runs_with(flag: str) -> None:
    assert f"--{flag} " in RENDERED["kube-apiserver.sh"].replace("\\\n", " \n")


def test_abac_is_an_option_with_the_references_policy() -> None:
    assert "--authorization-mode=ABAC" in RENDERED["kube-apiserver-abac.sh"]
    assert "abac-policy" not in RENDERED["kube-apiserver.sh"]


def test_an_operators_admission_plugins_come_beside_triplanes() -> None:
    flags = {"enable-admission-plugins": "AlwaysPullImages,NodeRestriction"}
    script = kube_apiserver.service(with_flags(kube_apiserver=flags), TOPOLOGY.masters[0]).script
    assert "plugins=NodeRestriction,DenyServiceExternalIPs,EventRateLimit,AlwaysPullImages " in script


# The form of the kubelet's own defaults; systemd takes %% and $$ for one of each (systemd.service(5), command lines).
def test_percent_and_dollar_reach_a_service_as_they_are() -> None:
    value = "memory.available<200Mi,nodefs.available<10%,$HOME"
    settings = parse(MINIMAL | {"extraFlags": {"kubelet": {"eviction-hard": value}, "etcd": {"log-format": "%$a"}}})
    cluster = cluster_of(settings, NOTHING)
    unit = files(kubelet.service(cluster, cluster.topology.nodes[0]).script)["/etc/systemd/system/kubelet.service"]
    (written,) = re.findall(r"--eviction-hard=(\S+)", unit)
    assert re.findall(r"(?<!%)%(?!%)|(?<!\$)\$(?!\$)", written) == []
    assert written.replace("%%", "%").replace("$$", "$") == value
    # Of an environment file, systemd expands neither; a backslash takes a dollar out of the double quotes' rules.
    environment = files(etcd.service(cluster, cluster.topology.etcd[0], first=True).script)["/etc/etcd/etcd.env"]
    assert 'ETCD_LOG_FORMAT="%\\$a"\n' in environment


def test_an_operators_etcd_flag_goes_into_the_environment_file() -> None:
    assert "ETCD_SNAPSHOT_COUNT=5000\n" in files(RENDERED["etcd-first.sh"])["/etc/etcd/etcd.env"]


def test_a_member_that_changes_later_never_founds_a_cluster() -> None:
    def script(*, first: bool) -> str:
        return etcd.service(CLUSTER, TOPOLOGY.etcd[1], first=first).script

    assert "\nFIRST=yes\n" in script(first=True)
    assert "\nFIRST=no\n" in script(first=False)
    assert script(first=True).replace("FIRST=yes", "FIRST=no") == script(first=False)


def test_an_object_kind_that_is_never_pruned_is_refused() -> None:
    with pytest.raises(ValueError, match=r"objects extra: add NetworkPolicy to KINDS of model/addons/__init__\.py"):
        objects.script(name="extra", objects=[{"kind": "NetworkPolicy", "metadata": {"name": "x"}}])
