"""The `host` step on hosts as droplets may be: the real script, with stand-ins for what the host itself answers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from model.steps import first_steps

PROGRAMS = (
    "awk basename bash cat chmod chown cmp cut dirname grep head hostname iconv install mkdir mktemp mv printf ps rm "
    "sed sha256sum sleep sort stat tail timeout touch uname wc"
)
"""What every Debian has."""
OPTIONAL = {
    "curl": "echo 10.240.0.5",
    "ip": "",
    "ip6tables": "",
    "iptables": "",
    "nft": "",
    "openssl": "",
    "ss": "",
    "sysctl": "",
}
PREFIXES = ("/etc/", "/proc/", "/sys/", "/usr/local/lib/", "/var/lib/")
DOOR = "etc/systemd/system/ssh-bootstrap.service"


class Droplet:
    """A folder as a host's root, and a PATH with nothing of this machine but what every Debian has."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bin = root / "bin"
        self.bin.mkdir()
        for name in PROGRAMS.split():
            found = shutil.which(name)
            assert found, name
            (self.bin / name).symlink_to(found)
        self.file("proc/filesystems", "nodev\ttmpfs\n")
        self.file(DOOR)
        self.file("sys/module/overlay")
        self.program("cloud-init", "echo status: done")
        self.program(
            "modprobe", f"mkdir -p {root}/proc/sys/net/bridge; touch {root}/proc/sys/net/bridge/bridge-nf-call-iptables"
        )
        for name in ("sshd", "systemctl", "apt-get"):
            self.program(name)
        for name, does in OPTIONAL.items():
            self.program(name, does)

    def file(self, path: str, content: str = "") -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        return file

    def program(self, name: str, does: str = "") -> None:
        """Answer with these lines of shell; a call leaves its arguments in `called`."""
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f'#!/bin/bash\necho "{name} $*" >>{self.root}/called\n{does}\n')
        path.chmod(0o755)

    def without(self, *names: str) -> None:
        for name in names:
            (self.bin / name).unlink()

    @property
    def called(self) -> list[str]:
        return (self.root / "called").read_text().splitlines()

    def run(self, *, overlay: bool = True) -> subprocess.CompletedProcess[str]:
        script = first_steps.script(size="s-1vcpu-2gb", overlay=overlay, ssh_ca_public_key=None)
        for prefix in PREFIXES:
            script = script.replace(prefix, f"{self.root}{prefix}")
        return subprocess.run(
            ["/bin/bash", "-c", script],
            env={"PATH": str(self.bin)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            start_new_session=True,
        )

    def error(self, *, overlay: bool = True) -> str:
        """The one line that a failing step says."""
        result = self.run(overlay=overlay)
        assert result.returncode == 1, result.stdout
        assert len(result.stderr.splitlines()) == 1, result.stderr
        assert ": step host: " in result.stderr
        return result.stderr


@pytest.fixture
def droplet(tmp_path: Path) -> Droplet:
    return Droplet(tmp_path)


def test_a_complete_host_is_ready_without_installing_anything(droplet: Droplet) -> None:
    result = droplet.run()
    assert (result.returncode, result.stderr) == (0, "")
    assert (droplet.root / "etc/triplane/host.env").read_text().startswith("PRIVATE_ADDRESS=10.240.0.5\n")
    assert not any(call.startswith("apt-get") for call in droplet.called)
    assert not (droplet.root / DOOR).exists()


def test_warnings_of_cloud_init_are_no_error(droplet: Droplet) -> None:
    droplet.program("cloud-init", "echo status: done; echo extended_status: degraded done; exit 2")
    result = droplet.run()
    assert (result.returncode, result.stderr) == (0, "")
    assert "cloud-init is done, with warnings" in result.stdout


def test_an_error_of_a_vendors_is_said_and_does_not_stop_us(droplet: Droplet) -> None:
    droplet.program("cloud-init", "echo status: error; echo \"detail: ('scripts_vendor', RuntimeError())\"; exit 1")
    for _again in range(2):  # the door is shut by then
        result = droplet.run()
        assert (result.returncode, result.stderr) == (0, "")
        assert "none of them in what Triplane asks of it: status: error detail: ('scripts_vendor'" in result.stdout


def test_an_error_before_our_own_user_data_stops_us(droplet: Droplet) -> None:
    droplet.program("cloud-init", "echo status: error; exit 1")
    (droplet.root / DOOR).unlink()
    assert "cloud-init failed before this host's user data was applied (status: error)" in droplet.error()


def test_a_cloud_init_that_hangs_is_not_waited_for_for_ever(droplet: Droplet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_steps, "BOOT_SECONDS", 1)
    droplet.program("cloud-init", "printf ....; exec sleep 50")
    assert "cloud-init is not done after 1 s (....): see what it waits for in " in droplet.error()


def test_only_pod_network_hosts_load_modules_now_and_at_boot(droplet: Droplet) -> None:
    modules = droplet.root / "etc/modules-load.d/triplane.conf"
    assert droplet.run(overlay=False).returncode == 0
    assert not modules.exists()
    assert droplet.run().returncode == 0
    assert modules.read_text() == "br_netfilter\noverlay\n"
    assert [call for call in droplet.called if "modprobe" in call] == ["modprobe br_netfilter"]


def test_a_kernel_without_a_module_is_told_in_one_line(droplet: Droplet) -> None:
    droplet.program("modprobe", "echo 'modprobe: FATAL: Module not found in directory' >&2; exit 1")
    error = droplet.error()
    assert "has no module br_netfilter, without which pods are not reached: modprobe: FATAL: Module not found" in error
    assert "reboot the host if its kernel was upgraded" in error


def test_a_kernel_without_nftables_is_reported_before_flannel(droplet: Droplet) -> None:
    droplet.program("nft", "echo 'netlink: Error: cache initialization failed: Protocol not supported' >&2; exit 1")
    assert "has no nftables, which flannel keeps its rules in: netlink: Error: cache init" in droplet.error()
    assert droplet.run(overlay=False).returncode == 0


LISTS_FIRST = """
case "$*" in
*' update'*) touch {root}/lists ;;
*' install '*)
  [ -e {root}/lists ] || {{ echo 'E: Unable to locate package iptables'; exit 100; }}
  touch {bin}/iptables {bin}/ip6tables {bin}/nft && chmod 755 {bin}/iptables {bin}/ip6tables {bin}/nft
  ;;
esac
"""


def test_missing_programs_are_installed_after_fetching_lists(droplet: Droplet) -> None:
    droplet.without("iptables", "ip6tables", "nft")
    droplet.program("apt-get", LISTS_FIRST.format(root=droplet.root, bin=droplet.bin))
    result = droplet.run()
    assert (result.returncode, result.stderr) == (0, "")
    assert "installed iptables nftables" in result.stdout
    calls = [call.split()[4:] for call in droplet.called if call.startswith("apt-get")]
    install = ["install", "--yes", "--no-install-recommends", "iptables", "nftables"]
    assert calls == [install, ["update"], install]


def test_a_program_that_cannot_be_installed_is_told_in_one_line(droplet: Droplet) -> None:
    droplet.without("iptables", "ip6tables")
    droplet.program("apt-get", 'echo "W: a mirror is slow"; echo "E: Unable to locate package iptables"; exit 100')
    error = droplet.error()
    assert "iptables:iptables, ip6tables:iptables (program:package) is missing and cannot be installed" in error
    assert "E: Unable to locate package iptables; let this host reach its package source" in error
    # A member of etcd needs neither.
    assert droplet.run(overlay=False).returncode == 0


def test_a_silent_package_source_times_out(droplet: Droplet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_steps, "APT_SECONDS", 1)
    droplet.without("ss")
    droplet.program("apt-get", '[[ "$*" == *update* ]] || exec sleep 50')
    assert "ss:iproute2 (program:package) is missing and cannot be installed: apt did not end within 1 s;" in (
        droplet.error()
    )


def test_another_update_of_the_lists_is_waited_for(droplet: Droplet) -> None:
    droplet.without("ss")
    tries = droplet.root / "tries"
    droplet.program(
        "apt-get",
        f"""case "$*" in
*' update'*)
  echo try >>{tries}
  (($(wc -l <{tries}) > 1)) || {{ echo 'E: Could not get lock /var/lib/apt/lists/lock.'; exit 100; }}
  ;;
*) [ ! -e {tries} ] || touch {droplet.bin}/ss && chmod 755 {droplet.bin}/ss ;;
esac""",
    )
    assert droplet.run().returncode == 0
    assert tries.read_text() == "try\ntry\n"
