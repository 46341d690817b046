#!/usr/bin/env bash
# docs/how-to/one-vm.md, followed step by step: every command of the page, in order, by somebody with sudo on a fresh
# Debian with systemd, which systemd-nspawn boots in a folder. Between the steps it is checked that they did what the
# page says. So is what docs/how-to/back-up-and-restore.md says about such a machine.
#
#   tests/deploy/one-vm.sh [path to the muster binary]
#
# Needs root, and a machine that lets containers be made. Takes 40 seconds, and a minute more the first time.
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "${1:-target/container/1/usr/local/bin/muster}")
page=docs/how-to/one-vm.md base=$PWD/target/vm
step() { printf '   %s\n' "$1"; }
fail() { printf 'error: %s\n' "$1" >&2; exit 1; }

[ "$(id -u)" -eq 0 ] || fail 'only root can boot a machine in a folder: sudo tests/deploy/one-vm.sh'
if ! command -v debootstrap >/dev/null || ! command -v systemd-nspawn >/dev/null; then
    command -v apt-get >/dev/null || fail 'missing: debootstrap and systemd-nspawn; install them'
    step 'installing: debootstrap systemd-container'
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >/dev/null
    apt-get install -y --no-install-recommends debootstrap systemd-container >/dev/null
fi

if [ ! -e "$base/srv/made" ]; then
    step 'a fresh Debian (once)'
    rm -rf "$base"
    mkdir -p "$base"
    # PostgreSQL is fetched with the rest: the machine has no network afterwards, and no port of this one.
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,sudo,curl,openssl,postgresql stable "$base" >"$base.log" 2>&1 \
        || { tail -n 20 "$base.log" >&2; fail 'debootstrap failed'; }
    chroot "$base" useradd --create-home --shell /bin/bash admin
    printf 'admin ALL=(ALL) NOPASSWD: ALL\n' >"$base/etc/sudoers.d/admin"
    printf '127.0.0.1 localhost vm\n' >"$base/etc/hosts"
    touch "$base/srv/made"
fi
# What a clone of muster has, as far as the page uses it.
home=$base/home/admin/muster
rm -rf "$home"
mkdir -p "$home/target/release" "$home/deploy/systemd"
cp "$program" "$home/target/release/muster"
cp deploy/systemd/muster.service "$home/deploy/systemd/"

step 'it boots'
console=$(TMPDIR=/tmp mktemp)
systemd-nspawn --quiet --ephemeral --directory="$base" --machine="muster-$$" --hostname=vm --register=no --keep-unit \
    --private-network --link-journal=no --boot </dev/null >"$console" 2>&1 &
machine=$!
end() {
    # The machine's first process takes this as "power off".
    [ -z "${first:-}" ] || kill -s RTMIN+3 "$first" 2>/dev/null || true
    for _ in $(seq 100); do kill -0 "$machine" 2>/dev/null || break; sleep 0.1; done
    kill -KILL "$machine" 2>/dev/null || true
    wait "$machine" 2>/dev/null || true
    rm -f "$console"
}
trap end EXIT
for _ in $(seq 300); do
    first=$(pgrep -P "$machine" | head -n 1 || true)
    if [ -n "$first" ] && nsenter -t "$first" -a systemctl is-active --quiet multi-user.target 2>/dev/null; then break; fi
    kill -0 "$machine" 2>/dev/null || { cat "$console" >&2; fail 'the machine ended'; }
    sleep 0.2
done
on_vm() { nsenter -t "$first" -a env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/home/admin "$@"; }
as_admin() { on_vm runuser -u admin -- bash -c "cd ~/muster && set -euo pipefail && $1" </dev/null; }

# The commands below a heading of a page, as one script.
commands() {
    python3 - "$1" "$2" <<'END'
import re, sys
page, heading = open(sys.argv[1]).read(), sys.argv[2]
section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page, re.S | re.M)
blocks = re.findall(r"^```(?:console|sh)\n(.*?)^```", section[1], re.S | re.M) if section else []
if not blocks:
    sys.exit(f"{page} has no commands below `{heading}`")
print("".join(re.sub(r"^\$ ", "", block, flags=re.M) for block in blocks))
END
}
follow() { # follow HEADING [PAGE]
    step "$1"
    local script of=${2:-$page}
    script=$(commands "$of" "$1")
    as_admin "$script" >"$console.out" 2>"$console.err" || { cat "$console.out" "$console.err" >&2; fail "$of: $1"; }
    out=$(cat "$console.out")
    rm -f "$console.out" "$console.err"
}
expect() { [ "$1" = "$2" ] || fail "$3: \"$1\" instead of \"$2\""; }
ready() { as_admin "curl -sS --retry 20 --retry-connrefused --retry-delay 1 http://127.0.0.1:8080/readyz"; }

expect "$(grep -c '^## ' "$page")" 8 'the page has other sections than are followed here'
follow 'Install'
grep -qxF "$("$program" --version)" <<<"$out" || fail 'it is another version'
follow 'Settings'
expect "$(as_admin 'stat -c %a:%U /etc/muster/fingerprint_key')" 400:root 'the key of fingerprints'
follow 'The first key'
key=$(sed -n 's/^owner key: //p' <<<"$out")
[[ $key = amk_* ]] || fail 'no first key is shown'
follow 'Start'
grep -qF '{"status":"ok"}' <<<"$out" || fail 'it is not ready'

step '(a batch, a crash, a restart of PostgreSQL and of the machine'"'"'s service)'
batch="curl -sS -o /dev/null -w '%{http_code}' http://127.0.0.1:8080/api/v2/users/admin_batch_create -H 'Authorization: Bearer $key' \
    -H 'Content-Type: application/json' -H 'Idempotency-Key: one' \
    -d '[{\"name\": \"Ada\", \"email\": \"ada@example.com\", \"password\": \"correct horse battery staple\", \"is_sso_user\": false}]'"
expect "$(as_admin "$batch")" 200 'a batch'
before=$(as_admin 'systemctl show -P MainPID muster')
as_admin 'sudo systemctl kill -s KILL muster'
sleep 3
expect "$(ready)" '{"status":"ok"}' 'after a crash'
[ "$(as_admin 'systemctl show -P MainPID muster')" != "$before" ] || fail 'the crash did not happen'
# The same request: known again by the key of fingerprints, so answered and not refused.
expect "$(as_admin "$batch")" 200 'the same batch after the crash'
as_admin 'sudo systemctl restart postgresql'
expect "$(ready)" '{"status":"ok"}' 'after PostgreSQL was restarted'
as_admin 'sudo systemctl stop muster'
expect "$(as_admin 'systemctl show -P Result muster')" success 'how it was stopped'
expect "$(as_admin 'systemctl show -P ExecMainStatus muster')" 0 'its exit status'
as_admin 'sudo systemctl start muster'

follow 'Look whether all is well'
grep -q '^ok  *database.migrations ' <<<"$out" || fail 'the doctor saw no database'
grep -q '^ok  *settings.fingerprint_key ' <<<"$out" || fail "the doctor saw no key of fingerprints: $out"

# What it is backed up and restored by: the page says that the restored database takes the place of the other.
follow 'On one virtual machine' docs/how-to/back-up-and-restore.md
expect "$(ready)" '{"status":"ok"}' 'with the restored database'
expect "$(as_admin "$batch")" 200 'the same batch, on the restored database'
expect "$(as_admin 'sudo -u postgres psql -Atc "select count(*) from pg_database where datname = '"'muster_lost'"'"')" 1 'the other database'
as_admin 'sudo -u postgres dropdb muster_lost'

follow 'A new version'
grep -qF '{"status":"ok"}' <<<"$out" || fail 'the new version is not ready'
follow 'Take it away again'
if as_admin 'id muster' >/dev/null 2>&1; then fail 'the account is still there'; fi
if as_admin 'systemctl cat muster' >/dev/null 2>&1; then fail 'the service is still there'; fi
expect "$(as_admin 'sudo find /usr/local /etc -name "muster*"')" '' 'what is left of it'
step 'the page is right'
