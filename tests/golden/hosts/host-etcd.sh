set -Eeuo pipefail
# Size s-1vcpu-2gb: a host that was off for a resize is waited for here, with all that ran on it, before the next one goes off.
install -d -m 755 /usr/local/lib/triplane
cat >/usr/local/lib/triplane/step.sh.new <<'TRIPLANE_END_OF_FILE_LIBRARY'
# shellcheck shell=bash
# What every step on a host is written with. A step sources this file, names itself with `step`, and then only says what
# should be so; running it again changes nothing that is so already.
set -Eeuo pipefail
umask 077

APPLIED=/var/lib/triplane/applied
STEP=unnamed
LIMIT=0
TOLD=2
BUNDLE=''

# step NAME [SECONDS]: errors name it, and the host. What it says is cut, and what has not ended by then is ended, for
# pulumi-command 1.2 has no limit of its own for a command, and waits for ever after a line of more than 64 KiB.
step() {
  STEP=$1
  LIMIT=${2:-840}
  mkdir -p "$APPLIED"
  exec {TOLD}>&2
  exec 2> >(cut_lines 3 >&2)
  PASSING=$!
  exec > >(cut_lines 100)
  PASSING+=" $!"
  end_after "$LIMIT" $$ ALRM
  trap 'fail "$(reason "$BASH_COMMAND" "$LINENO")"' ERR ALRM
}

say() { printf '%s\n' "$*"; }

# fail WORDS: one error in 12 lines at most, beside 3 of the programs that a step calls.
fail() {
  trap - ERR ALRM
  printf 'host %s: step %s: %s\n' "$(hostname)" "$STEP" "$*" | cut_lines 12 >&"$TOLD"
  exit 1
}

# reason COMMAND LINE: why a step ends at that command.
reason() {
  if ((SECONDS >= LIMIT)); then
    say "stopped after $LIMIT s, in \"${1%%$'\n'*}\" (line $2): it hangs, or the host is far too slow; look at the host, and run the same again${UNIT:+$(last_lines "$UNIT")}"
  else
    say "\"${1%%$'\n'*}\" failed (line $2)"
  fi
}

# cut_lines COUNT: pass on COUNT lines at most, of each 1,000 bytes at most, and those as valid UTF-8.
cut_lines() {
  local LC_ALL=C count=$1 number=0 line rest last=''
  # What is ended says its last words first.
  trap - ERR
  trap '' HUP INT TERM ALRM
  while IFS= read -r -n 1000 line || [ -n "$line" ]; do
    rest=$line
    while ((${#rest} == 1000)); do
      IFS= read -r -n 1000 rest || true
      [ -z "$rest" ] || line="${line:0:1000} (cut)"
    done
    if [[ $line == *[!\ -~]* ]]; then
      # It says 1 where it left something out.
      rest=$(iconv -c -f UTF-8 -t UTF-8 <<<"$line" 2>/dev/null) || true
      line=${rest:-${line//[!\ -~]/?}}
    fi
    number=$((number + 1))
    if ((number < count)); then
      printf '%s\n' "$line"
    elif ((number == count)); then
      last=$line
    fi
  done
  if ((number > count)); then
    printf '(%s more lines)\n' $((number - count + 1))
  elif ((number == count)); then
    printf '%s\n' "$last"
  fi
}

# end_after SECONDS PID SIGNAL: then PID gets the signal, and all that it has begun is ended. It must be called in that
# process, with whose end the watch ends too: nobody is left then who holds the pipe open.
# shellcheck disable=SC2034 # WATCH is the pipe
end_after() { exec {WATCH}> >(watch_over "$@"); }

watch_over() {
  local pid=$2 self=$BASHPID code=0 signal begun
  trap - ERR
  trap '' HUP INT TERM ALRM
  exec >/dev/null 2>&1
  read -r -t "$1" || code=$?
  ((code > 128)) || return 0
  for signal in TERM KILL; do
    begun=$(begun_by "$pid" "${PASSING:-} $self")
    kill -s "$3" "$pid"
    # shellcheck disable=SC2086 # a list
    kill -s "$signal" $begun
    code=0
    read -r -t 5 || code=$?
    ((code > 128)) || return 0
  done
}

# begun_by PID APART: the processes below it, without those APART and what is below them.
begun_by() {
  ps -e -o pid=,ppid= | awk -v top="$1" -v apart=" $2 " '
    { parent[$1] = $2 }
    END {
      for (pid in parent) {
        for (at = pid; at in parent && at != top && !index(apart, " " at " "); at = parent[at]);
        if (at == top && pid != top) print pid
      }
    }'
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

# put_bundle: the files that came on stdin, a line each: PATH USER:GROUP MODE BASE64. Another line tells the droplet.
put_bundle() {
  local path owner mode content
  BUNDLE=$(cat)
  while read -r path owner mode content; do
    [[ $path == /* ]] || continue
    base64 -d <<<"$content" | put "$path" "$owner" "$mode"
  done <<<"$BUNDLE"
  BUNDLE=''
}

# last_lines UNITS: what each of them, separated by spaces, said last, in 11 lines in all.
last_lines() {
  local unit units
  read -ra units <<<"$1"
  for unit in "${units[@]}"; do
    printf '\nlast lines of %s:\n' "$unit"
    timeout 10 journalctl --unit "$unit" --no-pager --lines $((11 / ${#units[@]} - 1)) --output cat 2>/dev/null || true
  done
}

# wait_until SECONDS WHAT COMMAND...: the condition, or an error that says what was waited for and how it last answered.
# A command that hangs is ended.
wait_until() {
  local seconds=$1 what=$2 deadline answer last=''
  shift 2
  deadline=$((SECONDS + seconds))
  until answer=$(trap - ERR && end_after $((deadline - SECONDS + 1)) "$BASHPID" TERM && "$@" 2>&1); do
    last=${answer:-$last}
    if ((SECONDS >= deadline)); then
      last=${last//$'\n'/ }
      fail "timed out after $seconds s waiting for $what${last:+; last answer: ${last:0:400}}${UNIT:+$(last_lines "$UNIT")}"
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
  if ! got=$(curl --fail --silent --show-error --location --connect-timeout 10 --speed-limit 1000 --speed-time 60 \
    --retry 5 --retry-all-errors --retry-delay 1 --retry-max-time 600 --output "$work/$name" "$url" 2>&1); then
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
  # It also makes systemd read all unit files again, with all generators; a daemon-reload before would do that twice.
  systemctl enable --quiet "$1"
  systemctl reset-failed "$1" 2>/dev/null || true
  systemctl restart "${@:2}" "$1" || fail "$1 does not start$(last_lines "${UNIT:-$1}")"
  say "restarted $1"
}
TRIPLANE_END_OF_FILE_LIBRARY
mv -f /usr/local/lib/triplane/step.sh.new /usr/local/lib/triplane/step.sh
. /usr/local/lib/triplane/step.sh
step host 2100

# Its verdict is not the question: vendors' data fail as well. What this host was told is, that it lets us in.
code=0
answer=$(timeout --kill-after=10 600 cloud-init status --wait --long 2>&1) || code=$?
answer=${answer//$'\n'/ }
case $code in
0) ;;
2) say 'cloud-init is done, with warnings: cloud-init status --long' ;;
124 | 137) fail "cloud-init is not done after 600 s (${answer:0:200}): see what it waits for in /var/log/cloud-init-output.log, let it finish, and run the same again" ;;
*)
  [ -e /etc/systemd/system/ssh-bootstrap.service ] || [ -e /etc/triplane/host.env ] || fail "cloud-init failed before this host's user data was applied (${answer:0:400}): see /var/log/cloud-init-output.log"
  say "cloud-init ended with errors, none of them in what Triplane asks of it: ${answer:0:400}"
  ;;
esac

# PROGRAM:PACKAGE, what steps and services call and an image may lack.
NEEDED=(curl:curl modprobe:kmod openssl:openssl ps:procps ss:iproute2 sysctl:procps)
missing() {
  local each
  for each in "${NEEDED[@]}"; do
    command -v "${each%:*}" >/dev/null || printf '%s\n' "$each"
  done
}
apt() {
  DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 timeout --kill-after=30 420 \
    apt-get --quiet --quiet --option=DPkg::Lock::Timeout=300 "$@" 2>&1 </dev/null
}
# On its first boot a host updates the lists itself, and apt does not wait for that lock.
update() {
  local answer
  answer=$(apt update) && return
  say "$answer"
  [[ $answer != */lists/lock* ]]
}
lacks=$(missing)
if [ -n "$lacks" ]; then
  mapfile -t packages < <(cut -d : -f 2 <<<"$lacks" | sort -u)
  if ! answer=$(apt install --yes --no-install-recommends "${packages[@]}"); then
    wait_until 300 "another process's update of the package lists" update
    answer=$(apt install --yes --no-install-recommends "${packages[@]}") || true
  fi
  lacks=$(missing)
  answer=$(grep '^E: ' <<<"$answer" | tail -n 1 || tail -n 1 <<<"$answer")
  [ -z "$lacks" ] || fail "${lacks//$'\n'/, } (program:package) is missing and cannot be installed: ${answer:-apt did not end within 420 s}; let this host reach its package source (outbound 80 and 443) or choose an image that has it, and run the same again"
  say "installed ${packages[*]}"
fi

put /etc/ssh/sshd_config.d/10-triplane.conf root:root 600 <<'TRIPLANE_END_OF_FILE'
# People come by certificates of the SSH CA, the program by its deploy key, nobody by a password.
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
HostKey /etc/ssh/ssh_host_ecdsa_key
MaxStartups 100:30:200
MaxSessions 100
TRIPLANE_END_OF_FILE

metadata() { curl --fail --silent --show-error --max-time 5 "http://169.254.169.254/metadata/v1/$1"; }
wait_until 30 'the VPC address from the metadata service' metadata interfaces/private/0/ipv4/address
printf 'PRIVATE_ADDRESS=%s\nDROPLET_ID=%s\n' "$(metadata interfaces/private/0/ipv4/address)" "$(metadata id)" | put /etc/triplane/host.env root:root 644

sshd -t
# Not a reload: where systemd holds the socket, Debian's sshd binds the port again at that, and ends. Sessions stay.
systemctl restart ssh
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
