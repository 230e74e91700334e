. /usr/local/lib/triplane/step.sh
step containerd
UNIT=containerd

put /etc/sysctl.d/80-triplane-containers.conf root:root 644 <<'TRIPLANE_END_OF_FILE'
net.bridge.bridge-nf-call-iptables = 1
net.bridge.bridge-nf-call-ip6tables = 1
TRIPLANE_END_OF_FILE

put /etc/containerd/certs.d/_default/hosts.toml root:root 600 <<'TRIPLANE_END_OF_FILE'
server = "https://mirror.example.com"
capabilities = [
    "pull",
    "resolve",
]
TRIPLANE_END_OF_FILE

put /usr/local/lib/triplane/pod-network.json root:root 644 <<'TRIPLANE_END_OF_FILE'
{
  "cniVersion": "1.0.0",
  "name": "flannel",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "isDefaultGateway": true,
      "forceAddress": true,
      "hairpinMode": true,
      "mtu": "@MTU@",
      "ipam": {
        "type": "host-local",
        "ranges": [
          [
            {
              "subnet": "@SUBNET@"
            }
          ]
        ]
      }
    },
    {
      "type": "portmap",
      "capabilities": {
        "portMappings": true
      },
      "backend": "nftables"
    }
  ]
}
TRIPLANE_END_OF_FILE

put /usr/local/lib/triplane/pod-network root:root 755 <<'TRIPLANE_END_OF_FILE'
#!/bin/bash
# Connects this host's pods by flannel's lease: writes the CNI network for it and, where it is a new one, gives the
# bridge its address and ends the sandboxes that have one of another lease; kubelet makes those again.
set -Eeuo pipefail
umask 077

lease=$(</run/flannel/subnet.env)
value() { sed -n "s/^FLANNEL_$1=//p" <<<"$lease"; }
mtu=$(value MTU)
own=$(value SUBNET)
gateway=${own%/*}
length=${own#*/}
# flannel says the subnet's first address, host-local wants the subnet itself.
subnet=${gateway%.*}.$((${gateway##*.} - 1))/$length

number() {
  local a b c d
  IFS=. read -r a b c d <<<"$1"
  printf '%d' "$(((a << 24) + (b << 16) + (c << 8) + d))"
}
in_subnet() { (($(number "$1") >> (32 - length) == $(number "$gateway") >> (32 - length))); }

mkdir -p /etc/cni/net.d
new=$(mktemp /etc/cni/.pod-network.XXXXXX)
sed -e "s|@SUBNET@|$subnet|" -e "s|\"@MTU@\"|$mtu|" /usr/local/lib/triplane/pod-network.json >"$new"
if ! cmp -s "$new" /etc/cni/net.d/10-flannel.conflist; then
  printf "this host's pods are in %s, with an MTU of %s\n" "$subnet" "$mtu"
fi
# containerd reads the folder when a file in it is written to or renamed, not when one comes in. It is made to each time,
# so that it does not miss a network that came before it looked.
mv -f "$new" /etc/cni/net.d/10-flannel.conflist.new
mv -f /etc/cni/net.d/10-flannel.conflist.new /etc/cni/net.d/10-flannel.conflist

# The next holder of the old subnet would not be reached from here as long as the bridge says that it is here.
if ip link show dev cni0 >/dev/null 2>&1; then
  for old in $(ip -4 -oneline address show dev cni0 | awk '{ print $4 }'); do
    if [ "$old" != "$own" ]; then
      ip address delete "$old" dev cni0
      ip address replace "$own" dev cni0
      ip link set dev cni0 mtu "$mtu"
      printf 'cni0 has %s instead of %s\n' "$own" "$old"
    fi
  done
fi

export CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS=1
failed=no
for file in /var/lib/cni/networks/flannel/*; do
  address=${file##*/}
  # Beside the addresses stand a lock and the last one given.
  if ! [[ $address =~ ^[0-9.]+$ ]] || in_subnet "$address" || ! read -r sandbox <"$file"; then
    continue
  fi
  sandbox=${sandbox%$'\r'}
  if answer=$(/opt/triplane/containerd/2.3.4/ctr --namespace k8s.io tasks kill --signal SIGKILL "$sandbox" 2>&1); then
    printf 'ended sandbox %s, which had the address %s of another lease\n' "$sandbox" "$address"
  elif [[ $answer != *'not found'* ]]; then
    printf 'cannot end sandbox %s, which has the address %s of another lease: %s\n' "$sandbox" "$address" "$answer" >&2
    failed=yes
  fi
done
[ "$failed" = no ]

# A change that comes while this runs is not told to it.
[ "$(</run/flannel/subnet.env)" = "$lease" ] || exec "$0"
TRIPLANE_END_OF_FILE

put /etc/systemd/system/pod-network.service root:root 600 <<'TRIPLANE_END_OF_FILE'
[Unit]
Description=The pod network on this host, by flannel's lease
Documentation=https://www.cni.dev/plugins/current/main/bridge/
After=flanneld.service containerd.service
ConditionPathExists=/run/flannel/subnet.env
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart=/usr/local/lib/triplane/pod-network
Restart=on-failure
RestartSec=2
ConfigurationDirectory=cni
# It changes an interface, and asks containerd to end sandboxes.
CapabilityBoundingSet=CAP_NET_ADMIN
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_NETLINK
SystemCallFilter=@system-service
# No more of the host than it needs (systemd.exec(5)).
NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=strict
ProtectHome=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
TRIPLANE_END_OF_FILE

put /etc/systemd/system/pod-network.path root:root 600 <<'TRIPLANE_END_OF_FILE'
[Unit]
Description=flannel's lease, for the pod network

[Path]
PathChanged=/run/flannel/subnet.env

[Install]
WantedBy=multi-user.target
TRIPLANE_END_OF_FILE

DEPENDS_ON=(/etc/containerd/config.toml /etc/systemd/system/containerd.service)
PAUSE=registry.example.com:5000/pause@sha256:0000000000000000000000000000000000000000000000000000000000000000

sysctl --quiet --load /etc/sysctl.d/80-triplane-containers.conf

# containerd's log has those as well.
export CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS=1
ctr() { timeout 30 /opt/triplane/containerd/2.3.4/ctr --namespace k8s.io "$@"; }
cri_is_up() {
  local answer
  answer=$(ctr plugins list id==cri) || return 1
  say "$answer"
  [[ $answer =~ cri\ .*\ ok ]]
}
image() { ctr images list "name==$PAUSE"; }
# A registry is asked a few times, and not as often as a host of our own.
pull() {
  local answer deadline
  deadline=$((SECONDS + 15))
  until answer=$(timeout 300 /opt/triplane/containerd/2.3.4/ctr --namespace k8s.io images pull --hosts-dir /etc/containerd/certs.d --skip-metadata "$PAUSE" 2>&1 >/dev/null); do
    answer=${answer//$'\n'/ }
    ((SECONDS < deadline)) || fail "cannot pull the image $PAUSE: ${answer:0:400}$(last_lines containerd)"
    sleep 3
  done
}
is_pinned() { [[ $(image) == *io.cri-containerd.pinned=pinned* ]]; }
has_image() { [[ $(image) == *"$PAUSE"* ]] || pull; }

# Where one runs already, an image that cannot be had leaves it as it is.
if ctr version >/dev/null 2>&1; then
  has_image
fi
put /etc/containerd/config.toml root:root 600 <<'TRIPLANE_END_OF_FILE'
version = 3
imports = [
    "/etc/containerd/conf.d/*.toml",
]

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "registry.example.com:5000/pause@sha256:0000000000000000000000000000000000000000000000000000000000000000"

[plugins."io.containerd.cri.v1.images".registry]
config_path = "/etc/containerd/certs.d"

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = [
    "/opt/triplane/cni-plugins/1.9.1",
]
conf_dir = "/etc/cni/net.d"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "/opt/triplane/runc/1.4.3/runc.amd64"
SystemdCgroup = true
TRIPLANE_END_OF_FILE

put /etc/systemd/system/containerd.service root:root 600 <<'TRIPLANE_END_OF_FILE'
[Unit]
Description=containerd, the container runtime
Documentation=https://containerd.io
After=network.target dbus.service
StartLimitIntervalSec=0

[Service]
Type=notify
# Its own shim, before one that a package of the host may have brought.
Environment=PATH=/opt/triplane/containerd/2.3.4:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/opt/triplane/containerd/2.3.4/containerd
Restart=always
RestartSec=2
# Containers live through its end: it has their cgroups to itself, and only it is stopped.
Delegate=yes
KillMode=process
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
OOMScoreAdjust=-999
# None of the limits that other services have: pods would inherit those of privileges, system calls and capabilities, and
# with mounts of its own nobody else would see what it mounts for them.

[Install]
WantedBy=multi-user.target
TRIPLANE_END_OF_FILE

if needs_restart containerd "${DEPENDS_ON[@]}"; then
  restart containerd
fi
wait_until 60 'containerd to answer' ctr version
wait_until 60 'its plugin for kubelet' cri_is_up
has_image
wait_until 30 "the image $PAUSE to be pinned" is_pinned
passed containerd "${DEPENDS_ON[@]}"

UNIT=pod-network
restart pod-network.path
restart pod-network
say 'containerd is ready'
