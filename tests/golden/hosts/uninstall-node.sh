. /usr/local/lib/triplane/step.sh
step uninstall-node

# stop UNIT...: now, and at boot.
stop() {
  local unit
  for unit in "$@"; do
    [ -e "/etc/systemd/system/$unit" ] || continue
    systemctl disable --quiet --now "$unit" || fail "$unit does not stop$(last_lines "$unit")"
    say "stopped $unit"
  done
}

# A folder with a file system of its own is emptied. What is mounted in one is somebody's, and an error.
remove() {
  local path
  for path in "$@"; do
    if mountpoint --quiet "$path"; then
      find "$path" -xdev -mindepth 1 -delete
    else
      rm -rf --one-file-system "$path"
    fi
  done
}

# The node was drained: pods that are left are daemons' and static ones, and those of a node that was not ready.
stop kube-proxy.service kubelet.service
ctr() { timeout 30 /usr/local/bin/ctr --namespace k8s.io "$@"; }
tasks_end() {
  local task
  for task in $(ctr tasks list --quiet); do
    ctr tasks kill --signal SIGKILL "$task" || true
  done
  [ -z "$(ctr tasks list --quiet)" ]
}
if systemctl is-active --quiet containerd; then
  wait_until 60 'all containers to end' tasks_end
fi
stop pod-network.path pod-network.service containerd.service flanneld.service

# What they leave in the kernel.
awk '$2 ~ "^(/var/lib/kubelet|/var/lib/containerd|/run/containerd)/" { print $2 }' /proc/mounts | sort --reverse |
  while read -r mount; do umount "$mount"; done
ip netns list | sed -n 's/^\(cni-[^ ]*\).*/\1/p' | while read -r namespace; do ip netns delete "$namespace"; done
for interface in cni0 flannel.1; do
  ! ip link show dev "$interface" >/dev/null 2>&1 || ip link delete dev "$interface"
done
for table in kube-proxy flannel-ipv4 flannel-ipv6 cni_hostport; do
  for family in ip ip6; do
    ! nft list table "$family" "$table" >/dev/null 2>&1 || nft delete table "$family" "$table"
  done
done


remove /etc/flannel /run/flannel /etc/sysctl.d/80-triplane-flannel.conf /opt/triplane/flannel /etc/systemd/system/flanneld.service /var/lib/containerd /var/lib/cni /etc/containerd/config.toml /etc/containerd/certs.d/_default/hosts.toml /etc/sysctl.d/80-triplane-containers.conf /etc/cni/net.d/10-flannel.conflist /usr/local/lib/triplane/pod-network /usr/local/lib/triplane/pod-network.json /etc/systemd/system/pod-network.service /etc/systemd/system/pod-network.path /opt/triplane/containerd /opt/triplane/runc /opt/triplane/cni-plugins /etc/systemd/system/containerd.service /var/lib/kubelet /etc/kubernetes/kubelet /etc/kubernetes/kubelet.kubeconfig /etc/kubernetes/kubelet.yaml /etc/kubernetes/resolv.conf /etc/sysctl.d/80-triplane-kubelet.conf /opt/triplane/kubernetes/*/kubelet /opt/triplane/kubernetes/*/.kubelet.sha256 /etc/systemd/system/kubelet.service /etc/kubernetes/kube-proxy.kubeconfig /etc/kubernetes/kube-proxy.yaml /opt/triplane/kubernetes/*/kube-proxy /opt/triplane/kubernetes/*/.kube-proxy.sha256 /etc/systemd/system/kube-proxy.service
rm -f /var/lib/triplane/applied/kube-proxy /var/lib/triplane/applied/kubelet /var/lib/triplane/applied/containerd /var/lib/triplane/applied/pod-network /var/lib/triplane/applied/flanneld
systemctl daemon-reload
find /usr/local/bin -xtype l -lname '/opt/triplane/*' -delete
say 'removed node'
