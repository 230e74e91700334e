"""A host's view of the kernel that it shares with all others; a droplet has a kernel of its own."""

from __future__ import annotations

from lab.hosts import modules

SERVICE = "lab-kernel.service"
SCRIPT_PATH = "/usr/local/lib/lab-kernel"

# A host can change only the settings of its own namespaces (most of net.*). It may want to set these others as well;
# each gets a stand-in file, which stores the value and has no effect.
_SETTINGS = (
    *("fs/file-max", "fs/inotify/max_user_instances", "fs/inotify/max_user_watches", "fs/protected_fifos"),
    *("fs/protected_hardlinks", "fs/protected_regular", "fs/protected_symlinks", "fs/suid_dumpable"),
    *("kernel/core_pattern", "kernel/dmesg_restrict", "kernel/keys/root_maxbytes", "kernel/keys/root_maxkeys"),
    *("kernel/kptr_restrict", "kernel/panic", "kernel/panic_on_oops", "kernel/pid_max", "kernel/randomize_va_space"),
    *("net/netfilter/nf_conntrack_max", "vm/max_map_count", "vm/overcommit_memory", "vm/panic_on_oom"),
    "vm/swappiness",
)

UNIT = f"""\
[Unit]
Description=The host's own view of the shared kernel
DefaultDependencies=no
Before=systemd-sysctl.service systemd-modules-load.service sysinit.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh {SCRIPT_PATH}

[Install]
WantedBy=sysinit.target
"""

SCRIPT = f"""\
set -eu
copies=/run/lab-kernel
mkdir -p {" ".join(sorted({f"$copies/{name.rpartition('/')[0]}" for name in _SETTINGS}))}
for setting in {" ".join(_SETTINGS)}; do
    if [ -e "/proc/sys/$setting" ]; then
        read -r value <"/proc/sys/$setting" || true
        echo "$value" >"$copies/$setting"
        echo "$copies/$setting /proc/sys/$setting none bind 0 0"
    fi
done >"$copies/fstab"

# The size of the table of connections is set by a module's parameter, which kube-proxy asks for.
buckets=/proc/sys/net/netfilter/nf_conntrack_buckets
parameters=/sys/module/nf_conntrack/parameters
if [ -e "$buckets" ] && [ ! -e "$parameters" ]; then
    cat "$buckets" >"$copies/hashsize"
    mount -o remount,rw /sys
    mkdir -p "$parameters"
    touch "$parameters/hashsize"
    mount -o remount,ro /sys
    echo "$copies/hashsize $parameters/hashsize none bind 0 0" >>"$copies/fstab"
fi
mount --all --fstab "$copies/fstab"

# Controllers of cgroup version 1 come read-only. What is to be seen of them here is this host's own group.
awk '$3 == "cgroup" && $4 ~ /^ro,/ {{ print $2 }}' /proc/mounts | while read -r controller; do
    mount -o remount,bind,rw "$controller"
done

{modules.HIDING}
# The kernel loads this one by itself, once a rule asks for it: it is built in, as far as the kernel shows its work.
modules=/lib/modules/$(uname -r)
if [ ! -d "$modules" ]; then
    mkdir -p "$modules"
    {{
        if [ -d /proc/sys/net/netfilter ]; then echo kernel/net/netfilter/nf_conntrack.ko; fi
    }} >"$modules/modules.builtin"
    touch "$modules/modules.order"
    depmod
fi
"""
