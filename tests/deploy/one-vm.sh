#!/usr/bin/env bash
# Follows docs/how-to/one-vm.md: runs every command of the page, in order, as a user with sudo on a fresh Debian with
# systemd, which systemd-nspawn boots from a directory, and checks the result of each step. Does the same for the section of
# docs/how-to/back-up-and-restore.md about virtual machines.
#
#   tests/deploy/one-vm.sh [path to the muster binary]
#
# Needs root and permission to create namespaces. Takes 40 seconds, and a minute more the first time.
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "${1:-target/container/1/usr/local/bin/muster}")
page=docs/how-to/one-vm.md base=$PWD/target/vm
step() { printf '   %s\n' "$1"; }
fail() { printf 'error: %s\n' "$1" >&2; exit 1; }

[ "$(id -u)" -eq 0 ] || fail 'needs root to boot a machine; run `sudo tests/deploy/one-vm.sh`'
if ! command -v debootstrap >/dev/null || ! command -v systemd-nspawn >/dev/null; then
    command -v apt-get >/dev/null || fail 'missing debootstrap or systemd-nspawn; install both'
    step 'installing: debootstrap systemd-container'
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >/dev/null
    apt-get install -y --no-install-recommends debootstrap systemd-container >/dev/null
fi

if [ ! -e "$base/srv/made" ]; then
    step 'installing Debian (first run only)'
    rm -rf "$base"
    mkdir -p "$base"
    # Include PostgreSQL: the machine has no network later.
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,sudo,curl,openssl,postgresql stable "$base" >"$base.log" 2>&1 \
        || { tail -n 20 "$base.log" >&2; fail 'debootstrap failed'; }
    chroot "$base" useradd --create-home --shell /bin/bash admin
    printf 'admin ALL=(ALL) NOPASSWD: ALL\n' >"$base/etc/sudoers.d/admin"
    printf '127.0.0.1 localhost vm\n' >"$base/etc/hosts"
    touch "$base/srv/made"
fi
# The files of a clone that the page uses.
home=$base/home/admin/muster
rm -rf "$home"
mkdir -p "$home/target/release" "$home/deploy/systemd"
cp "$program" "$home/target/release/muster"
cp deploy/systemd/muster.service "$home/deploy/systemd/"

step 'booting'
console=$(TMPDIR=/tmp mktemp)
systemd-nspawn --quiet --ephemeral --directory="$base" --machine="muster-$$" --hostname=vm --register=no --keep-unit \
    --private-network --link-journal=no --boot </dev/null >"$console" 2>&1 &
machine=$!
end() {
    # systemd powers off on this signal.
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
    kill -0 "$machine" 2>/dev/null || { cat "$console" >&2; fail 'the machine exited during boot'; }
    sleep 0.2
done
on_vm() { nsenter -t "$first" -a env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/home/admin "$@"; }
as_admin() { on_vm runuser -u admin -- bash -c "cd ~/muster && set -euo pipefail && $1" </dev/null; }

# Prints the commands under a heading of a page, as one script.
commands() {
    python3 - "$1" "$2" <<'END'
import re, sys
page, heading = open(sys.argv[1]).read(), sys.argv[2]
section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page, re.S | re.M)
blocks = re.findall(r"^```(?:console|sh)\n(.*?)^```", section[1], re.S | re.M) if section else []
if not blocks:
    sys.exit(f"error: {page} has no commands under `{heading}`")
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
expect() { [ "$1" = "$2" ] || fail "$3: got \"$1\", expected \"$2\""; }
ready() { as_admin "curl -sS --retry 20 --retry-connrefused --retry-delay 1 http://127.0.0.1:8080/readyz"; }

expect "$(grep -c '^## ' "$page")" 8 'number of sections of the page; update this script'
follow 'Install'
grep -qxF "$("$program" --version)" <<<"$out" || fail 'unexpected version'
follow 'Settings'
expect "$(as_admin 'stat -c %a:%U /etc/muster/fingerprint_key')" 400:root 'permissions of the fingerprint key'
follow 'Create the first key'
key=$(sed -n 's/^owner key: //p' <<<"$out")
[[ $key = amk_* ]] || fail 'the first migration printed no owner key'
follow 'Start the service'
grep -qF '{"status":"ok"}' <<<"$out" || fail 'the service is not ready'

step '(a batch, a crash, restarts of PostgreSQL and of the service)'
batch="curl -sS -o /dev/null -w '%{http_code}' http://127.0.0.1:8080/api/v2/users/admin_batch_create -H 'Authorization: Bearer $key' \
    -H 'Content-Type: application/json' -H 'Idempotency-Key: one' \
    -d '[{\"name\": \"Ada\", \"email\": \"ada@example.com\", \"password\": \"correct horse battery staple\", \"is_sso_user\": false}]'"
expect "$(as_admin "$batch")" 200 'a batch'
before=$(as_admin 'systemctl show -P MainPID muster')
as_admin 'sudo systemctl kill -s KILL muster'
sleep 3
expect "$(ready)" '{"status":"ok"}' 'readiness after a crash'
[ "$(as_admin 'systemctl show -P MainPID muster')" != "$before" ] || fail 'the service was not restarted after the crash'
# A retry: the fingerprint key survived the crash, so the request is recognized and not rejected.
expect "$(as_admin "$batch")" 200 'retry of the batch after the crash'
as_admin 'sudo systemctl restart postgresql'
expect "$(ready)" '{"status":"ok"}' 'readiness after PostgreSQL restarted'
as_admin 'sudo systemctl stop muster'
expect "$(as_admin 'systemctl show -P Result muster')" success 'result of the shutdown'
expect "$(as_admin 'systemctl show -P ExecMainStatus muster')" 0 'exit status of the shutdown'
as_admin 'sudo systemctl start muster'

follow 'Check the installation'
grep -q '^ok  *database.migrations ' <<<"$out" || fail 'muster doctor did not check the database'
grep -q '^ok  *settings.server_key ' <<<"$out" || fail "muster doctor did not read the fingerprint key: $out"

# Backup and restore. The restored database replaces the original, which remains as muster_lost.
follow 'Virtual machine' docs/how-to/back-up-and-restore.md
expect "$(ready)" '{"status":"ok"}' 'readiness on the restored database'
expect "$(as_admin "$batch")" 200 'retry of the batch on the restored database'
expect "$(as_admin 'sudo -u postgres psql -Atc "select count(*) from pg_database where datname = '"'muster_lost'"'"')" 1 'original database kept as muster_lost'
as_admin 'sudo -u postgres dropdb muster_lost'

follow 'Upgrade'
grep -qF '{"status":"ok"}' <<<"$out" || fail 'not ready after the upgrade'
follow 'Uninstall'
if as_admin 'id muster' >/dev/null 2>&1; then fail 'the account still exists after uninstalling'; fi
if as_admin 'systemctl cat muster' >/dev/null 2>&1; then fail 'the service still exists after uninstalling'; fi
expect "$(as_admin 'sudo find /usr/local /etc -name "muster*"')" '' 'files left after uninstalling'
step 'all commands of the page work'
