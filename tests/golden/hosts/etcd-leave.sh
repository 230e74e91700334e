. /usr/local/lib/triplane/step.sh
step etcd-2-etcd-leave
MEMBER=etcd-2
PEER_URL=https://etcd-2.internal.k8s.example.com:2380
CLIENT_URL=https://etcd-2.internal.k8s.example.com:2379
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

know_the_members

list=$(members "$ETCDCTL_ENDPOINTS") || fail "no member answers at $ETCDCTL_ENDPOINTS, so the host of $MEMBER stays; bring one back, and run the same again"
if ! grep -qF ",$PEER_URL," <<<"$list"; then
  say "$MEMBER is not a member"
  exit
fi

# All the others that the settings have must be there, with a vote: one that was replaced before may not be back yet.
others_are_whole() {
  local voters url missing=()
  voters=$(members "$ETCDCTL_ENDPOINTS" | awk -F, '$6 != "true" { print $5 }') || return
  for url in ${ETCDCTL_ENDPOINTS//,/ }; do
    [ "$url" != "$CLIENT_URL" ] || continue
    grep -qxF "$url" <<<"$voters" && ! is_dead "$url" || missing+=("$url")
  done
  [ -z "${missing[*]}" ] || {
    say "bring back ${missing[*]}"
    return 1
  }
  others_are_quorum
}

[ "$(wc -l <<<"$list")" -gt 1 ] || fail "$MEMBER is the only member, and its data would go with its host; have 3 members first"
wait_until 60 "the other members to be healthy, before the host of $MEMBER goes" others_are_whole
# It stays in the list until its next host joins: etcd ends at once when it is taken out, and cuts off the calls under
# way. At the shutdown of its host it answers them, and hands over the lead.
say "the host of $MEMBER may go"
