"""What the lab writes for hosts, without booting one."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import subprocess
import sys
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

import httpx
import pytest
import yaml
from starlette.applications import Starlette

from lab.config import ConfigError, LabConfig
from lab.hosts import boot, commands, firewall, metadata, packages, requirements, rootfs, seed
from lab.hosts.cgroups import Group
from lab.hosts.containers import Shortfalls
from lab.hosts.variants import VARIANTS
from lab.interfaces import Firewall, Machine, MachineError, Rule
from lab.tests.differences import untold

SHELLCHECK = Path(sys.executable).parent / "shellcheck"
GOLDEN = Path(__file__).parent / "golden" / "lab-firewall.nft"


def machine(number: int, vpc: str | None = "one", **changes: object) -> Machine:
    values: dict[str, object] = {
        "id": 100 + number,
        "name": f"etcd-{number}.lab.triplane.test",
        "image": "debian-12-x64",
        "region": "fra1",
        "size": "s-1vcpu-1gb",
        "public": IPv4Interface(f"198.19.0.{10 + number}/24"),
        "private": None if vpc is None else IPv4Interface(f"10.10.0.{2 + number}/20"),
        "vpc": vpc,
        "public_keys": ("ssh-ed25519 AAAA someone@somewhere",),
        "user_data": "",
        "tags": ("etcd", "lab-etcd"),
    }
    return Machine(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def config(tmp_path: Path) -> LabConfig:
    return LabConfig(directory=tmp_path, name="test", block=IPv4Network("198.19.0.0/24"))


@pytest.fixture
def firewalls() -> dict[int, Firewall | None]:
    peers = (IPv4Network("10.10.0.3/32"), IPv4Network("10.10.0.2/32"), IPv4Network("198.19.0.10/32"))
    return {
        100: Firewall(
            inbound=(
                Rule(protocol="tcp", ports=(22, 22), peers=(IPv4Network("0.0.0.0/0"),)),
                Rule(protocol="tcp", ports=(2379, 2380), peers=peers),
                Rule(protocol="icmp", ports=None, peers=peers),
                Rule(protocol="udp", ports=(8472, 8472), peers=()),
            ),
            outbound=(Rule(protocol="udp", ports=None, peers=(IPv4Network("0.0.0.0/0"),)),),
        ),
        101: None,
        102: Firewall(inbound=(), outbound=()),
    }


def test_the_firewall_table_is_the_one_that_was_reviewed(
    config: LabConfig, firewalls: dict[int, Firewall | None], request: pytest.FixtureRequest
) -> None:
    machines = [machine(2, vpc="two"), machine(1), machine(0), machine(3, vpc=None)]
    table = firewall.render(config, machines, firewalls)
    if request.config.getoption("--update-golden"):
        GOLDEN.write_text(table)
    assert table == GOLDEN.read_text()


def test_a_rule_that_admits_nobody_is_no_rule(config: LabConfig, firewalls: dict[int, Firewall | None]) -> None:
    assert "8472" not in firewall.render(config, [machine(0)], firewalls)


def test_a_firewall_for_a_missing_host_names_no_interface(
    config: LabConfig, firewalls: dict[int, Firewall | None]
) -> None:
    assert "p102" not in firewall.render(config, [machine(0)], firewalls)


@pytest.mark.parametrize("seconds", [0, 45])
def test_the_boot_script_is_valid_even_with_a_space_in_its_path(tmp_path: Path, seconds: float) -> None:
    config = LabConfig(directory=tmp_path / "my lab", name="test", block=IPv4Network("198.19.0.0/24"))
    text = boot.script(config, machine(0), Path("/images/debian"), Group("test", "100"), seconds)
    assert ("sleep 45" in text) == bool(seconds)
    checked = subprocess.run([SHELLCHECK, "-"], input=text, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("directory", ["/lab:one", "/lab,one", "/lab\\one"])
def test_a_directory_that_overlay_mounts_cannot_name_is_refused(directory: str) -> None:
    with pytest.raises(ConfigError, match="colon, comma or backslash"):
        LabConfig(directory=Path(directory))


def _files(*, stub: bool = False, **changes: object) -> dict[str, seed.File]:
    config = LabConfig(directory=Path("/lab"))
    made = machine(0, **changes)  # type: ignore[arg-type]
    shortfalls = Shortfalls(cgroups_v1=True, fixed_oom_scores=True)
    return dict(
        seed.files(
            made,
            gateway=config.router,
            resolver=config.services,
            stub=stub,
            mtu=1500,
            package_source=packages.source(config, Path("/images/debian-12-x64-1")),
            shortfalls=shortfalls,
        )
    )


def test_names_and_keys_cannot_break_out_of_the_metadata() -> None:
    odd = 'ssh-ed25519 AAAA "quoted": {x}\n- another'
    meta_data = yaml.safe_load(_files(public_keys=(odd,))["var/lib/cloud/seed/nocloud/meta-data"].text)
    assert meta_data["public-keys"] == [odd]
    assert meta_data["local-hostname"] == "etcd-0.lab.triplane.test"


def test_user_data_is_delivered_unchanged_and_only_root_reads_it() -> None:
    file = _files(user_data="#!/bin/sh\necho 'hello'\n")["var/lib/cloud/seed/nocloud/user-data"]
    assert file.text == "#!/bin/sh\necho 'hello'\n"
    assert file.mode == 0o600


def test_a_host_outside_any_vpc_has_one_interface() -> None:
    assert "eth1" in _files()["etc/network/interfaces.d/50-cloud-init"].text
    assert "eth1" not in _files(vpc=None)["etc/network/interfaces.d/50-cloud-init"].text


def test_files_are_laid_with_the_modes_of_the_images_folders(tmp_path: Path) -> None:
    (tmp_path / "image/root").mkdir(parents=True)
    (tmp_path / "image/root").chmod(0o700)
    seed.lay(tmp_path / "upper", tmp_path / "image", {"root/a": seed.File("x", 0o600), "etc/new/b": seed.File("y")})
    modes = {name: (tmp_path / "upper" / name).stat().st_mode & 0o777 for name in ("", "root", "root/a", "etc/new/b")}
    assert modes == {"": 0o755, "root": 0o700, "root/a": 0o600, "etc/new/b": 0o644}
    assert (tmp_path / "upper/etc/systemd/system/getty.target").readlink() == Path("/dev/null")


def test_files_a_droplet_lacks_are_in_the_table_of_differences() -> None:
    of_a_droplet = {
        *("/etc/hostname", "/etc/machine-id", "/etc/resolv.conf", "/etc/default/locale"),
        "/etc/network/interfaces.d/50-cloud-init",
    }
    assert untold("file", {f"/{name}" for name in {**_files(), **_files(stub=True)}} - of_a_droplet) == set()


def test_the_clouds_resolver_stands_behind_an_images_own() -> None:
    assert "etc/systemd/resolved.conf.d/lab.conf" not in _files()
    behind = _files(stub=True)
    assert "etc/resolv.conf" not in behind
    assert behind["etc/systemd/resolved.conf.d/lab.conf"].text == "[Resolve]\nDNS=198.18.0.1\n"


def test_a_variant_is_made_anew_when_it_or_its_base_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (slug, variant), *_others = VARIANTS.items()
    before = rootfs.path(tmp_path, slug)
    monkeypatch.setitem(VARIANTS, slug, dataclasses.replace(variant, setup="true"))
    changed = rootfs.path(tmp_path, slug)
    monkeypatch.setattr(rootfs, "PACKAGES", (*rootfs.PACKAGES, "tree"))
    assert len({before, changed, rootfs.path(tmp_path, slug)}) == 3


def test_the_index_lists_packages_and_no_outside_file_is_served(tmp_path: Path) -> None:
    tree = tmp_path / "tree/DEBIAN"
    tree.mkdir(parents=True)
    (tree / "control").write_text(
        "Package: tool\nVersion: 1:2.0\nArchitecture: all\nMaintainer: A <a@b.test>\nDescription: x\n"
    )
    images = tmp_path / ".cache"
    archive = packages.folder(images / "debian-12-x64-1")
    archive.mkdir(parents=True)
    deb = archive / "tool_1%3a2.0_all.deb"
    subprocess.run(["dpkg-deb", "--build", tree.parent, deb], check=True, capture_output=True)
    packages.index(archive)
    deb = archive / "tool_2.0_all.deb"
    index = (archive / "Packages").read_text()
    assert index.startswith("Package: tool\n")
    assert "Filename: ./tool_2.0_all.deb\n" in index
    assert f"Size: {deb.stat().st_size}\nSHA256: {hashlib.sha256(deb.read_bytes()).hexdigest()}\n" in index
    assert hashlib.sha256(index.encode()).hexdigest() in (archive / "Release").read_text()
    (images / "debian-12-x64-1").mkdir()
    (images / "debian-12-x64-1/secret").write_text("")

    def ask(path: str) -> int:
        return asyncio.run(_ask(packages.app(images), "198.19.0.10", path)).status_code

    assert ask("/debian-12-x64-1/Packages") == 200
    assert ask("/debian-12-x64-1/./tool_2.0_all.deb") == 200
    assert ask("/debian-12-x64-1/secret") == 404
    assert ask("/debian-12-x64-1/..%2fdebian-12-x64-1%2fsecret") == 404


def test_metadata_is_served_as_a_tree_and_as_a_document(config: LabConfig) -> None:
    tree = metadata.tree(config, machine(0, user_data="#cloud-config\n"))
    assert metadata.look_up(tree, "id") == "100"
    assert metadata.look_up(tree, "user-data") == "#cloud-config\n"
    assert metadata.look_up(tree, "tags/") == "etcd\nlab-etcd"
    assert metadata.look_up(tree, "interfaces/") == "public/\nprivate/"
    assert metadata.look_up(tree, "interfaces/private/0/ipv4/address") == "10.10.0.2"
    assert metadata.look_up(tree, "interfaces/public/0/ipv4/gateway") == "198.19.0.2"
    assert metadata.look_up(tree, "floating_ip/ipv4/active") == "false"
    assert metadata.look_up(tree, "nothing/here") is None
    assert metadata.look_up(tree, "hostname/below") is None
    assert "hostname" in (metadata.look_up(tree, "") or "").splitlines()


async def _ask(app: Starlette, address: str, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=app, client=(address, 40000))
    async with httpx.AsyncClient(transport=transport, base_url="http://169.254.169.254") as client:
        return await client.get(path)


def test_a_host_is_told_its_own_metadata_and_a_stranger_none(config: LabConfig) -> None:
    app = metadata.app(config, lambda: [machine(0), machine(1)])

    def ask(address: str, path: str) -> httpx.Response:
        return asyncio.run(_ask(app, address, path))

    assert ask("198.19.0.10", "/metadata/v1/hostname").text == "etcd-0.lab.triplane.test"
    assert ask("198.19.0.11", "/metadata/v1/hostname").text == "etcd-1.lab.triplane.test"
    assert ask("198.19.0.11", "/metadata/v1.json").json()["droplet_id"] == 101
    assert "hostname" in ask("198.19.0.11", "/metadata/v1/").text.splitlines()
    assert ask("198.19.0.11", "/metadata/v1/nothing").status_code == 404
    for path in ("/metadata/v1.json", "/metadata/v1/hostname"):
        assert ask("198.19.0.99", path).status_code == 404


@pytest.mark.parametrize("name", ["", "Lab", "9lives", "with-dash", "much-too-long", "elevenchars"])
def test_a_lab_name_that_cannot_name_an_interface_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="up to ten"):
        LabConfig(directory=Path("/lab"), name=name)


@pytest.mark.parametrize("block", ["10.0.0.0/8", "198.18.0.0/28"])
def test_a_block_too_large_or_too_small_is_refused(block: str) -> None:
    with pytest.raises(ConfigError, match="/16 to /27"):
        LabConfig(directory=Path("/lab"), block=IPv4Network(block))


def test_missing_root_or_programs_are_reported_with_advice(config: LabConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(config.directory))
    with pytest.raises(MachineError, match="apt-get install systemd-container"):
        requirements.check(config)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(MachineError, match="run as root"):
        requirements.check(config)


def test_a_machine_that_cannot_run_pods_is_refused_with_commands(
    config: LabConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(requirements, "missing", list)
    monkeypatch.setattr(requirements, "_BRIDGES", config.directory / "bridge")
    with pytest.raises(MachineError, match="`modprobe br_netfilter`"):
        requirements.check(config)
    monkeypatch.setattr("os.access", lambda _path, _mode: False)
    with pytest.raises(MachineError, match=r"/sys/fs/cgroup\S* cannot be written to: is this a privileged machine\?"):
        requirements.check(config)


def test_a_failed_program_error_names_step_program_and_output() -> None:
    with pytest.raises(MachineError, match=r"laying the wire: `sh -c .*` ended with 3: no such wire"):
        commands.run("laying the wire", "sh", "-c", "echo no such wire >&2; exit 3")
    with pytest.raises(MachineError, match="did not end within"):
        commands.run("waiting", "sleep", "5", timeout=0.05)
    with pytest.raises(MachineError, match=r"'nosuchprogram' is not installed; `apt-get install nosuchprogram`"):
        commands.run("trying", "nosuchprogram")


def test_an_image_without_enough_disk_is_refused_before_fetching(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 100 << 20

    monkeypatch.setattr(rootfs, "missing", lambda _programs: [])
    monkeypatch.setattr("shutil.disk_usage", lambda _path: Usage)
    with pytest.raises(MachineError, match=r"takes 2 GiB in .*, and 0\.1 are free: make room, or set TRIPLANE_CACHE"):
        rootfs.ensure(tmp_path / "images", "debian-12-x64")


def test_an_unknown_image_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"'beos-5' is not one that the lab can boot: use one of debian-12-x64"):
        rootfs.ensure(tmp_path, "beos-5")


HERE = [
    ("http://mirror.test/debian/", "bookworm"),
    ("http://mirror.test/debian/", "bookworm-updates"),
    ("http://mirror.test/security/", "bookworm-security"),
    ("http://elsewhere.test/", "nodistro"),
]


def test_another_release_uses_the_usual_debian_mirrors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootfs, "_sources_here", lambda: HERE)
    monkeypatch.setattr(
        "platform.freedesktop_os_release", lambda: {"ID": "debian", "VERSION_CODENAME": "bookworm", "NAME": "Debian"}
    )
    assert rootfs.sources("bookworm") == [
        "deb http://mirror.test/debian/ bookworm main",
        "deb http://mirror.test/debian/ bookworm-updates main",
        "deb http://mirror.test/security/ bookworm-security main",
    ]
    assert rootfs.sources("trixie") == [line.replace("bookworm", "trixie") for line in rootfs.sources("bookworm")]


def test_a_foreign_distribution_leaves_the_mirror_to_mmdebstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootfs, "_sources_here", lambda: [("http://archive.ubuntu.test/ubuntu/", "noble")])
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: {"ID": "ubuntu", "VERSION_CODENAME": "noble"})
    assert rootfs.sources("trixie") == []


def test_a_failed_build_shows_its_own_error_and_is_cleaned_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "mmdebstrap").write_text(
        "#!/bin/sh\nfor last; do :; done\necho 'I: running apt-get update...'\n"
        'for word; do case $word in */.debian*) mkdir -p "$word/etc";; esac; done\n'
        "echo 'E: Unable to locate package cloud-init'\nexit 25\n"
    )
    (tools / "unshare").write_text('#!/bin/sh\nshift 3\nexec "$@"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    said: list[str] = []
    images = tmp_path / "images"
    with pytest.raises(MachineError, match=r"E: Unable to locate package cloud-init .*apt-get update"):
        rootfs.ensure(images, "debian-12-x64", said.append)
    assert any("running apt-get update" in line for line in said)
    assert not [path for path in images.iterdir() if path.is_dir()]
