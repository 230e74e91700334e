"""Commands of the operator that see the lab's DNS, while this machine's own configuration stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lab.config import LabConfig

_RESOLVER = "resolv.conf"
_LOOKUP = "nsswitch.conf"

# The command replaces the shell: terminal, input, signals and exit code are the command's own. Each file is mounted
# over the target of the machine's file (either may be a link), in a namespace that ends with the command.
_SCRIPT = """\
directory=$1; shift
for name in resolv.conf nsswitch.conf; do
    mount --bind "$directory/$name" "$(readlink -f "/etc/$name")" || {
        echo "error: the lab's name server cannot be put in place of /etc/$name for this command" >&2; exit 126; }
done
if [ -d /run/nscd ]; then mount -t tmpfs none /run/nscd; fi
exec "$@"
"""


def prepare(config: LabConfig) -> None:
    """Write the files that `command` mounts: the lab's name server, and a lookup order without other sources."""
    folder = _folder(config)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _RESOLVER).write_text(f"nameserver {config.services}\noptions timeout:2 attempts:2\n")
    machine = Path("/etc/nsswitch.conf")
    lines = machine.read_text().splitlines() if machine.exists() else []
    kept = [line for line in lines if not line.startswith("hosts:")]
    (folder / _LOOKUP).write_text("\n".join([*kept, "hosts: files dns", ""]))


def command(config: LabConfig, argv: Sequence[str]) -> list[str]:
    """Wrap a command so that it resolves the lab's names; needs root, and a lab that has been started once."""
    return [
        *("unshare", "--mount", "--propagation", "private", "--"),
        *("sh", "-c", _SCRIPT, "lab", str(_folder(config)), *argv),
    ]


def _folder(config: LabConfig) -> Path:
    return config.directory / "operator"
