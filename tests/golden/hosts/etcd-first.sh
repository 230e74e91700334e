. /usr/local/lib/triplane/step.sh
step etcd
MEMBER=etcd-0
PEER_URL=https://etcd-0.internal.k8s.example.com:2380
CLIENT_URL=https://etcd-0.internal.k8s.example.com:2379
EXPECTED=etcd-0=https://etcd-0.internal.k8s.example.com:2380,etcd-1=https://etcd-1.internal.k8s.example.com:2380,etcd-2=https://etcd-2.internal.k8s.example.com:2380
PATH=/usr/local/bin:$PATH

# The members that the settings have, as this host's last step was told.
know_the_members() {
  [ -e /etc/etcd/etcdctl.env ] || fail "etcd is not set up on this host yet, so it cannot tell who is in the cluster; run the same again"
  set -a
  . /etc/etcd/etcdctl.env
  set +a
}

# ctl ENDPOINTS ARGUMENT...; etcdctl takes them from the environment or from a flag, never from both.
ctl() { ETCDCTL_ENDPOINTS=$1 etcdctl --dial-timeout=2s --command-timeout=5s "${@:2}"; }

# How the member with a PEER_URL is called, by the graph; nothing if it has none.
name_of() { tr , '\n' <<<"$EXPECTED" | sed -n "s|=$1\$||p"; }

# members ENDPOINTS: a line for each: ID,STATUS,NAME,PEER URL,CLIENT URL,LEARNER.
members() { ctl "$1" member list | sed 's/, /,/g'; }

is_dead() { [ -z "$1" ] || ! ctl "$1" endpoint health >/dev/null 2>&1; }

# With this member down, the others must still be a quorum of the cluster's voters, which may be more than the
# settings have.
others_are_quorum() {
  local voters count healthy=0 id status name url client rest dead=()
  voters=$(members "$ETCDCTL_ENDPOINTS" | awk -F, '$6 != "true"') || return
  count=$(wc -l <<<"$voters")
  # One or two have no member to spare: the API waits for this one, and nothing is gained by waiting before.
  ((count > 2)) || return 0
  while IFS=, read -r id status name url client rest; do
    [ "$url" != "$PEER_URL" ] || continue
    if is_dead "$client"; then dead+=("${name:-$url}"); else healthy=$((healthy + 1)); fi
  done <<<"$voters"
  say "$healthy of the $((count - 1)) other members are healthy, $((count / 2 + 1)) must be; bring back ${dead[*]}"
  ((healthy >= count / 2 + 1))
}

# out_of_lead ID CLIENT_URL: a member that leads hands over to one that stays.
out_of_lead() {
  local status heir
  status=$(ctl "$2" endpoint status --write-out=fields 2>&1) || return 0
  [ "$(sed -n 's/^"MemberID" : //p' <<<"$status")" = "$(sed -n 's/^"Leader" : //p' <<<"$status")" ] || return 0
  heir=$(members "$ETCDCTL_ENDPOINTS" | awk -F, -v id="$1" '$1 != id && $6 != "true" { print $1; exit }') || return
  ctl "$2" move-leader "$heir"
}

# taken_out ID: the cluster may look for a new leader meanwhile, and answers late.
taken_out() {
  local list
  list=$(members "$ETCDCTL_ENDPOINTS") || return
  ! grep -q "^$1," <<<"$list" || ctl "$ETCDCTL_ENDPOINTS" member remove "$1"
}

# take_out ID NAME CLIENT_URL
take_out() {
  [ -z "$3" ] || wait_until 60 "$2 to give the lead to another member" out_of_lead "$1" "$3"
  wait_until 60 "the cluster to let $2 go" taken_out "$1"
  say "removed member $2"
}

# remove_former CONDITION: take out the members that the settings no longer have and for which the condition holds.
remove_former() {
  local list id status name url client rest
  list=$(members "$ETCDCTL_ENDPOINTS")
  while IFS=, read -r id status name url client rest; do
    [ -n "$(name_of "$url")" ] || ! "$1" "$client" || take_out "$id" "${name:-$url}" "$client"
  done <<<"$list"
}

UNIT=etcd
ASKED=https://etcd-1.internal.k8s.example.com:2379,https://etcd-2.internal.k8s.example.com:2379
FIRST=yes
HEALTHY_ONCE=/var/lib/triplane/etcd-was-healthy
ENDED=/var/lib/triplane/etcd-certificates-ended
LAST=no

id etcd >/dev/null 2>&1 || useradd --system --home-dir /var/lib/etcd --no-create-home --shell /usr/sbin/nologin etcd
# A member whose certificate has ended is none to the others, and they may be none to it: their certificates are as old.
# That is known until this member has new ones and has passed its gate.
has_ended() { [ -f "$1" ] && ! openssl x509 -checkend 0 -noout -in "$1" >/dev/null; }
if has_ended /etc/etcd/pki/server.crt || has_ended /etc/etcd/pki/peer.crt; then
  touch "$ENDED"
fi
put_bundle
put /etc/etcd/etcdctl.env root:root 600 <<'TRIPLANE_END_OF_FILE'
ETCDCTL_ENDPOINTS=https://etcd-0.internal.k8s.example.com:2379,https://etcd-1.internal.k8s.example.com:2379,https://etcd-2.internal.k8s.example.com:2379
ETCDCTL_CACERT=/etc/etcd/pki/server-ca.crt
ETCDCTL_CERT=/etc/etcd/pki/etcdctl.crt
ETCDCTL_KEY=/etc/etcd/pki/etcdctl.key
TRIPLANE_END_OF_FILE

put /etc/etcd/etcd.env root:root 600 <<'TRIPLANE_END_OF_FILE'
ETCD_NAME=etcd-0
ETCD_DATA_DIR=/var/lib/etcd
ETCD_ADVERTISE_CLIENT_URLS=https://etcd-0.internal.k8s.example.com:2379
ETCD_INITIAL_ADVERTISE_PEER_URLS=https://etcd-0.internal.k8s.example.com:2380
ETCD_CLIENT_CERT_AUTH=true
ETCD_TRUSTED_CA_FILE=/etc/etcd/pki/client-ca.crt
ETCD_CERT_FILE=/etc/etcd/pki/server.crt
ETCD_KEY_FILE=/etc/etcd/pki/server.key
ETCD_PEER_CLIENT_CERT_AUTH=true
ETCD_PEER_TRUSTED_CA_FILE=/etc/etcd/pki/peer-ca.crt
ETCD_PEER_CERT_FILE=/etc/etcd/pki/peer.crt
ETCD_PEER_KEY_FILE=/etc/etcd/pki/peer.key
ETCD_TLS_MIN_VERSION=TLS1.2
ETCD_CIPHER_SUITES=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
ETCD_STRICT_RECONFIG_CHECK=true
ETCD_ENABLE_GRPC_GATEWAY=false
ETCD_LISTEN_METRICS_URLS=http://127.0.0.1:2381
ETCD_LISTEN_CLIENT_HTTP_URLS=https://127.0.0.1:2382
ETCD_SNAPSHOT_COUNT=5000
TRIPLANE_END_OF_FILE

put /etc/systemd/system/etcd.service root:root 600 <<'TRIPLANE_END_OF_FILE'
[Unit]
Description=etcd, the key-value store of the Kubernetes control plane
Documentation=https://etcd.io/docs/v3.6/
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
User=etcd
Group=etcd
EnvironmentFile=/etc/triplane/host.env
EnvironmentFile=/etc/etcd/etcd.env
EnvironmentFile=/etc/etcd/bootstrap.env
ExecStart=/opt/triplane/etcd/3.6.14/etcd \
    --listen-peer-urls=https://${PRIVATE_ADDRESS}:2380 \
    --listen-client-urls=https://${PRIVATE_ADDRESS}:2379,https://127.0.0.1:2379,https://127.0.1.1:2379

Restart=always
RestartSec=2
# A member is ready once it is part of a quorum, and its peers may still be starting.
TimeoutStartSec=10min
LimitNOFILE=65536
StateDirectory=etcd
StateDirectoryMode=0700
CapabilityBoundingSet=
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
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

DEPENDS_ON=(/etc/etcd/etcd.env /etc/systemd/system/etcd.service /etc/triplane/host.env /etc/etcd/pki/peer-ca.crt /etc/etcd/pki/client-ca.crt /etc/etcd/pki/peer.crt /etc/etcd/pki/peer.key /etc/etcd/pki/server.crt /etc/etcd/pki/server.key)
know_the_members

# A directory without a write-ahead log is what a start leaves that found no peer: it has none of the cluster's data.
has_data() { compgen -G '/var/lib/etcd/member/wal/*.wal' >/dev/null; }

cluster_answers() { [ -n "$ASKED" ] && ETCDCTL_ENDPOINTS=$ASKED etcdctl --dial-timeout=1s --command-timeout=2s member list >/dev/null 2>&1; }

bootstrap() {
  printf 'ETCD_INITIAL_CLUSTER=%s\nETCD_INITIAL_CLUSTER_STATE=%s\nETCD_INITIAL_CLUSTER_TOKEN=lab-etcd\n' "$1" "$2" |
    put /etc/etcd/bootstrap.env root:root 600
}

# <MEMBERS: as `name=url,…`; one that has not started yet has no name of its own.
initial_cluster() {
  local id status name url rest
  while IFS=, read -r id status name url rest; do
    printf '%s=%s,' "$(name_of "$url" | grep . || printf '%s' "$name")" "$url"
  done | sed 's/,$//'
}

announce() {
  local list
  list=$(members "$ASKED") || return
  grep -qF ",$PEER_URL," <<<"$list" || ctl "$ASKED" member add "$MEMBER" --learner --peer-urls="$PEER_URL"
}

# The members are listed before anything changes: a cluster in which one of two has not started answers no more.
join() {
  local list own
  list=$(members "$ASKED") || fail "$MEMBER cannot join: the members at $ASKED do not say who is in the cluster; bring them back first"
  own=$(grep -F ",$PEER_URL," <<<"$list") || true
  # A member that has started lists a client URL; one that is only announced does not.
  if [ -n "$own" ] && [ -n "$(cut -d, -f5 <<<"$own")" ]; then
    wait_until 60 "the cluster to let the $MEMBER go whose data is lost" ctl "$ASKED" member remove "${own%%,*}"
    list=$(grep -vF ",$PEER_URL," <<<"$list") || true
    own=''
  fi
  # A learner has no vote: the cluster keeps its quorum whatever becomes of it.
  [ -n "$own" ] || list+=$'\n'"new,unstarted,$MEMBER,$PEER_URL,,true"
  wait_until 60 "the cluster to take $MEMBER in" announce
  bootstrap "$(initial_cluster <<<"$list")" existing
}

# A state that was lost asks for a new cluster. The host knows better.
refuse_if_a_cluster_was_here() {
  local trace
  for trace in "$APPLIED/etcd" /var/lib/kubelet/pki /run/flannel/subnet.env; do
    [ ! -e "$trace" ] || fail "$MEMBER would found an empty cluster, but $trace says that one ran on this host: bring its members back, or restore a snapshot; to begin with an empty cluster on purpose, remove $trace here, and run the same again"
  done
}

# A member without data either founds the cluster with the others or joins it: only one of the two is ever right.
join_or_found() {
  if [ -d /var/lib/etcd/member ]; then
    mv /var/lib/etcd/member "/var/lib/etcd/member.without-data.$(date +%s)"
    say "moved /var/lib/etcd/member away: it has no data"
  fi
  if cluster_answers; then
    join
  elif [ "$FIRST" = yes ]; then
    refuse_if_a_cluster_was_here
    bootstrap "$EXPECTED" new
  else
    fail "$MEMBER has no data and no other member answers${ASKED:+ at $ASKED}: founding a second cluster would lose the first; bring the others back or restore a snapshot, or, to begin with an empty cluster on purpose, replace this step (pulumi up --replace URN)"
  fi
}

promote() {
  local list id
  list=$(members "$ASKED") || return 0
  id=$(awk -F, -v url="$PEER_URL" '$4 == url && $6 == "true" { print $1 }' <<<"$list")
  [ -z "$id" ] || ctl "$ASKED" member promote "$id"
}

wait_until 60 'the names of all members' resolvable etcd-0.internal.k8s.example.com etcd-1.internal.k8s.example.com etcd-2.internal.k8s.example.com
if ! has_data; then
  join_or_found
elif [ ! -f /etc/etcd/bootstrap.env ]; then
  bootstrap "$EXPECTED" existing
fi

if needs_restart etcd "${DEPENDS_ON[@]}"; then
  if [ -e "$ENDED" ]; then
    say "a certificate of $MEMBER has ended: it is restarted with the new ones, whatever the others say"
  elif systemctl is-active --quiet etcd && ctl "$CLIENT_URL" endpoint health >/dev/null 2>&1; then
    remove_former is_dead
    wait_until 60 'a quorum without this member, before it is restarted' others_are_quorum
  else
    free_port etcd 2379
    free_port etcd 2380
  fi
  # A member is ready once there is a quorum, which on the first day takes the others' steps as well.
  restart etcd --no-block
fi

# On the first day none is healthy before a quorum has started, nor is one after all certificates have ended. The last
# one's step comes after the others', and waits.
waits_for_peers() { [ "$LAST" = no ] && { [ -e "$ENDED" ] || [ ! -e "$HEALTHY_ONCE" ]; } && ! cluster_answers; }

if waits_for_peers; then
  wait_until 60 'etcd to listen for its peers' bash -c "ss --no-header --listening --tcp --numeric 'sport = :2380' | grep ."
  say "$MEMBER waits for its peers"
else
  [ -z "$ASKED" ] || wait_until 300 "$MEMBER to have the cluster's data, and a vote" promote
  wait_until 120 "$MEMBER to be healthy" ctl "$CLIENT_URL" endpoint health
  touch "$HEALTHY_ONCE"
fi
[ "$LAST" = no ] || [ ! -e "$ENDED" ] || wait_until 120 'every member to be healthy' ctl "$ETCDCTL_ENDPOINTS" endpoint health
passed etcd "${DEPENDS_ON[@]}"
rm -f "$ENDED"
