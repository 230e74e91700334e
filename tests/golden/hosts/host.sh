set -Eeuo pipefail
# Size s-1vcpu-2gb: a host that was off for a resize is waited for here, with all that ran on it, before the next one goes off.
fail() {
  printf 'host %s: step host: %s\n' "$(hostname)" "$*" >&2
  exit 1
}
status=$(cloud-init status --wait --long) || fail "cloud-init did not finish: $status"

install -d -m 755 /usr/local/lib/triplane
cat >/usr/local/lib/triplane/step.sh.new <<'TRIPLANE_END_OF_FILE_LIBRARY'
# shellcheck shell=bash
# What every step on a host is written with. A step sources this file, names itself with `step`, and then only says what
# should be so; running it again changes nothing that is so already.
set -Eeuo pipefail
umask 077

APPLIED=/var/lib/triplane/applied
STEP=unnamed
BUNDLE=''

# step NAME: errors name it, and the host.
step() {
  STEP=$1
  mkdir -p "$APPLIED"
  trap 'fail "\"$BASH_COMMAND\" failed (line $LINENO)"' ERR
}

say() { printf '%s\n' "$*"; }

fail() {
  trap - ERR
  printf 'host %s: step %s: %s\n' "$(hostname)" "$STEP" "$*" >&2
  exit 1
}

# put PATH USER:GROUP MODE <CONTENT: whole or not at all; an unchanged file is left alone.
put() {
  local path=$1 owner=$2 mode=$3 new
  install -d -m 755 "$(dirname "$path")"
  new=$(mktemp "$path.XXXXXX") || fail "cannot write $path: is the disk full? (df -h /)"
  if ! cat >"$new"; then
    rm -f "$new"
    fail "cannot write $path: is the disk full? (df -h /)"
  fi
  chown "$owner" "$new" && chmod "$mode" "$new"
  if [ -f "$path" ] && cmp -s "$new" "$path" && [ "$(stat -c '%U:%G %a' "$path")" = "$(stat -c '%U:%G %a' "$new")" ]; then
    rm -f "$new"
  else
    mv -f "$new" "$path"
    say "changed $path"
  fi
}

# put_bundle: the files that came on stdin, a line each: PATH USER:GROUP MODE BASE64.
put_bundle() {
  local path owner mode content
  BUNDLE=$(cat)
  while read -r path owner mode content; do
    [ -n "$path" ] || continue
    base64 -d <<<"$content" | put "$path" "$owner" "$mode"
  done <<<"$BUNDLE"
  BUNDLE=''
}

# last_lines UNITS: what each of them, parted by spaces, said last.
last_lines() {
  local unit
  for unit in $1; do
    printf '\nlast lines of %s:\n' "$unit"
    journalctl --unit "$unit" --no-pager --lines 15 --output cat 2>/dev/null || true
  done
}

# wait_until SECONDS WHAT COMMAND...: the condition, or an error that says what was waited for and how it last answered.
wait_until() {
  local seconds=$1 what=$2 deadline answer
  shift 2
  deadline=$((SECONDS + seconds))
  until answer=$(trap - ERR && "$@" 2>&1); do
    if ((SECONDS >= deadline)); then
      fail "waited $seconds s in vain for $what${answer:+; last answer: ${answer:0:400}}${UNIT:+$(last_lines "$UNIT")}"
    fi
    sleep 0.2
  done
}

# resolvable NAME...: every name has an address.
resolvable() {
  local name
  for name in "$@"; do
    getent ahostsv4 "$name" >/dev/null || {
      say "$name does not resolve"
      return 1
    }
  done
}

# kubeconfig_field FILE NAME: what a kubeconfig embeds under this name. Only ever for a pipe: it may be a key.
kubeconfig_field() { sed -n "s/^ *$2: //p" "$1" | base64 -d; }

# fetch DIRECTORY URL SHA256: a release file, checked before it is anything more than a temporary file. Of an archive,
# the files at its top or in a folder there are installed; anything else becomes an executable under the URL's last name.
fetch() {
  local directory=$1 url=$2 sha256=$3 name mark work got
  name=${url##*/}
  mark=$directory/.$name.sha256
  if [ -f "$mark" ] && [ "$(cat "$mark")" = "$sha256" ]; then
    return
  fi
  install -d -m 755 "$directory"
  find "$directory" -maxdepth 1 -name '.fetch.*' -mmin +60 -exec rm -rf {} +
  work=$(mktemp -d "$directory/.fetch.XXXXXX") || fail "cannot write to $directory: is the disk full? (df -h /)"
  if ! got=$(curl --fail --silent --show-error --location --connect-timeout 10 --retry 5 --retry-all-errors \
    --retry-delay 1 --output "$work/$name" "$url" 2>&1); then
    rm -rf "$work"
    case $got in
    *'curl: (23)'*) fail "cannot write to $directory: is the disk full? (df -h $directory)" ;;
    esac
    fail "cannot download $url: ${got##*$'\n'}"
  fi
  got=$(sha256sum "$work/$name" | cut -d ' ' -f 1)
  if [ "$got" != "$sha256" ]; then
    rm -rf "$work"
    fail "$url has the digest $got, but $sha256 is pinned: nothing was installed; check the mirror, or the digest in the catalog"
  fi
  case $name in
  *.tar.gz | *.tgz)
    mkdir "$work/unpacked"
    if ! tar --extract --gzip --file "$work/$name" --directory "$work/unpacked" --no-same-owner; then
      rm -rf "$work"
      fail "cannot unpack $name: is the disk full? (df -h /)"
    fi
    find "$work/unpacked" -maxdepth 2 -type f -exec mv -f --target-directory "$directory" {} +
    ;;
  *)
    chmod 755 "$work/$name"
    mv -f "$work/$name" "$directory/$name"
    ;;
  esac
  printf '%s' "$sha256" >"$mark"
  rm -rf "$work"
  say "installed $directory/$name"
}

# needs_restart UNIT FILE...: a file the unit depends on is not as it was when the unit last passed its gate.
needs_restart() {
  local unit=$1
  shift
  [ "$(systemctl is-active "$unit" 2>/dev/null)" != active ] || [ "$(digest "$@")" != "$(cat "$APPLIED/$unit" 2>/dev/null)" ]
}

# passed UNIT FILE...: the gate is open; remember what the unit runs with.
passed() {
  local unit=$1
  shift
  digest "$@" >"$APPLIED/$unit.new"
  mv -f "$APPLIED/$unit.new" "$APPLIED/$unit"
}

digest() { cat "$@" | sha256sum | cut -d ' ' -f 1; }

# free_port UNIT PORT: nobody but the unit itself listens there (the kernel knows a process by 15 characters).
free_port() {
  local holder
  holder=$(ss --no-header --listening --tcp --numeric --processes "sport = :$2" | head -n 1)
  [ -z "$holder" ] || [[ $holder == *"\"${1:0:15}\""* ]] || fail "port $2, which $1 needs, is taken: ${holder##* }"
}

# restart UNIT: with the unit file as it is now, at boot too, and however often it failed before.
restart() {
  systemctl daemon-reload
  systemctl enable --quiet "$1"
  systemctl reset-failed "$1" 2>/dev/null || true
  systemctl restart "${@:2}" "$1" || fail "$1 does not start$(last_lines "${UNIT:-$1}")"
  say "restarted $1"
}
TRIPLANE_END_OF_FILE_LIBRARY
mv -f /usr/local/lib/triplane/step.sh.new /usr/local/lib/triplane/step.sh
. /usr/local/lib/triplane/step.sh
step host
put /etc/ssh/triplane-user-ca.pub root:root 644 <<'TRIPLANE_END_OF_FILE'
ssh-ed25519 AAAA people
TRIPLANE_END_OF_FILE

put /etc/ssh/sshd_config.d/10-triplane.conf root:root 600 <<'TRIPLANE_END_OF_FILE'
# People come by certificates of the SSH CA, the program by its deploy key, nobody by a password.
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
HostKey /etc/ssh/ssh_host_ecdsa_key
MaxStartups 100:30:200
MaxSessions 100
TrustedUserCAKeys /etc/ssh/triplane-user-ca.pub
TRIPLANE_END_OF_FILE

metadata() { curl --fail --silent --show-error --max-time 5 "http://169.254.169.254/metadata/v1/$1"; }
wait_until 30 'the VPC address from the metadata service' metadata interfaces/private/0/ipv4/address
printf 'PRIVATE_ADDRESS=%s\nDROPLET_ID=%s\n' "$(metadata interfaces/private/0/ipv4/address)" "$(metadata id)" | put /etc/triplane/host.env root:root 644

sshd -t
systemctl reload ssh
# The door of the first connection is shut behind us.
if [ -e /etc/systemd/system/ssh-bootstrap.service ]; then
  systemctl disable --quiet --now ssh-bootstrap
  rm -f /etc/systemd/system/ssh-bootstrap.service /etc/ssh/ssh_bootstrap_key
  systemctl daemon-reload
fi

for applied in "$APPLIED"/*; do
  [ -e "$applied" ] || continue
  UNIT=${applied##*/}
  wait_until 120 "$UNIT to be active again" systemctl is-active --quiet "$UNIT"
done
