"""Modules of the kernel: a host sees a module that a fresh droplet has not loaded only after it asks for it.

This machine's kernel has already loaded them. Each host hides their traces at boot, before its other units run, and
shows them when `modprobe` or modules-load.d (through libkmod's `install` commands, see modprobe.d(5)) asks for the
module. A module that this machine's kernel does not have stays unknown.
"""

from __future__ import annotations

LOADER_PATH = "/usr/local/lib/lab-module"
_HIDDEN = "/run/lab-modules"

# While bridges are hidden, /proc/sys/net is made of bind mounts, each of which shows the host's own network namespace
# to all processes. No pod runs before br_netfilter is loaded, so no process needs another namespace there. The mounts
# are private: otherwise their removal would also remove the settings' stand-ins, which are in the same peer groups.
HIDING = f"""\
hidden={_HIDDEN}
mkdir -p "$hidden/net" "$hidden/unloaded" /run/modprobe.d
: >"$hidden/fstab"
hide() {{
    touch "$hidden/unloaded/$1"
    echo "install $1 /bin/sh {LOADER_PATH} $1" >>/run/modprobe.d/lab.conf
}}
if [ -d /proc/sys/net/bridge ]; then
    hide br_netfilter
    for entry in /proc/sys/net/*; do
        name=${{entry##*/}}
        [ "$name" != bridge ] || continue
        if [ -d "$entry" ]; then mkdir "$hidden/net/$name"; else : >"$hidden/net/$name"; fi
        echo "$entry $hidden/net/$name none rbind,rprivate 0 0" >>"$hidden/fstab"
    done
    echo "$hidden/net /proc/sys/net none rbind 0 0" >>"$hidden/fstab"
fi
if grep -qw overlay /proc/filesystems; then
    hide overlay
    grep -vw overlay /proc/filesystems >"$hidden/filesystems"
    echo "$hidden/filesystems /proc/filesystems none bind 0 0" >>"$hidden/fstab"
fi
if [ -e /proc/modules ]; then
    grep -Ev '^(br_netfilter|overlay) ' /proc/modules >"$hidden/modules" || true
    echo "$hidden/modules /proc/modules none bind 0 0" >>"$hidden/fstab"
fi
mount --all --fstab "$hidden/fstab"
"""
"""Part of the script that a host runs first at boot."""

LOADER = f"""\
# What `modprobe $1` comes to on a host of the lab. The mounts are init's, whichever process asks.
set -eu
unloaded={_HIDDEN}/unloaded/$1
exec 9>{_HIDDEN}/lock
flock 9
[ -e "$unloaded" ] || exit 0
case $1 in
br_netfilter) nsenter --mount=/proc/1/ns/mnt umount --lazy /proc/sys/net ;;
# A service may have a /proc of its own, from which no mount goes away. All see what stands in the file.
overlay) printf 'nodev\\toverlay\\n' >>{_HIDDEN}/filesystems ;;
esac
[ ! -e /proc/modules ] || echo "$1 32768 0 - Live 0x0000000000000000" >>{_HIDDEN}/modules
rm "$unloaded"
"""
