. /usr/local/lib/triplane/step.sh
step uninstall-etcd

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

# A member's data is the cluster's: it stays until the others have let this member go.
gone() {
  local list
  list=$(etcdctl --dial-timeout=2s --command-timeout=5s member list) || return
  say "$list"
  ! grep --quiet --fixed-strings ', https://etcd-0.internal.k8s.example.com:2380,' <<<"$list"
}

if [ -d /var/lib/etcd/member ]; then
  PATH=/usr/local/bin:$PATH
  set -a
  . /etc/etcd/etcdctl.env
  # Those who are members now; the list of this host's own etcd may only have members that left together.
  . /etc/flannel/etcd-members
  ETCDCTL_ENDPOINTS=$ETCD_MEMBERS
  set +a
  wait_until 60 "the etcd members at $ETCD_MEMBERS to have let etcd-0 go, whose data stays until then" gone
fi
stop etcd.service


remove /var/lib/etcd /var/lib/triplane/etcd-was-healthy /opt/triplane/etcd /etc/etcd /etc/systemd/system/etcd.service
rm -f /var/lib/triplane/applied/etcd
systemctl daemon-reload
find /usr/local/bin -xtype l -lname '/opt/triplane/*' -delete
say 'removed etcd'
