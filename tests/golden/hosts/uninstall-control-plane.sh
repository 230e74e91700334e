. /usr/local/lib/triplane/step.sh
step uninstall-control-plane

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

stop kube-scheduler.service kube-controller-manager.service kube-apiserver.service

remove /etc/kubernetes/pki /etc/kubernetes/encryption.yaml /etc/kubernetes/etcd-members /etc/kubernetes/audit-policy.yaml /etc/kubernetes/authentication.yaml /etc/kubernetes/abac-policy.jsonl /etc/kubernetes/admission.yaml /etc/kubernetes/event-rate-limit.yaml /opt/triplane/kubernetes/*/kube-apiserver /opt/triplane/kubernetes/*/.kube-apiserver.sha256 /opt/triplane/kubernetes/*/kubectl /opt/triplane/kubernetes/*/.kubectl.sha256 /etc/systemd/system/kube-apiserver.service /etc/kubernetes/controller-manager /etc/kubernetes/controller-manager.kubeconfig /opt/triplane/kubernetes/*/kube-controller-manager /opt/triplane/kubernetes/*/.kube-controller-manager.sha256 /etc/systemd/system/kube-controller-manager.service /etc/kubernetes/scheduler.kubeconfig /etc/kubernetes/scheduler.yaml /opt/triplane/kubernetes/*/kube-scheduler /opt/triplane/kubernetes/*/.kube-scheduler.sha256 /etc/systemd/system/kube-scheduler.service
rm -f /var/lib/triplane/applied/kube-scheduler /var/lib/triplane/applied/kube-controller-manager /var/lib/triplane/applied/kube-apiserver
systemctl daemon-reload
find /usr/local/bin -xtype l -lname '/opt/triplane/*' -delete
say 'removed control-plane'
