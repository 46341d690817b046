#!/usr/bin/env bash
# Tests the image without a container engine. Replays the Dockerfile in target/container, then runs the result as an engine
# would: in a read-only root file system with only the binary and the files of distroless, as an ordinary user, with
# the secrets that compose.yaml generates.
#
#   tests/deploy/container.sh
#   REPLAY=no tests/deploy/container.sh     reuses the last replay
#
# Without root privileges, the program runs in this machine's root file system.
set -euo pipefail
cd "$(dirname "$0")/../.."
limit_mib=38 # 40 MB for the image, of which distroless static takes 2.
image=$PWD/target/container
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
step() { printf '   %s\n' "$1"; }
fail() { printf 'error: %s\n' "$1" >&2; exit 1; }
value() { python3 -c 'import json, sys; print(json.dumps(json.load(open(sys.argv[1]))[sys.argv[2]]))' "$image/image.json" "$1"; }

if [ "${REPLAY:-yes}" = yes ]; then
    mkdir -p target
    scripts/dockerfile-replay.py "$image" 2>&1 | tee target/container.log
    # Otherwise the layer with the dependencies would be useless.
    again=$(sed '1,/RUN touch/d' target/container.log | sed -n 's/^ *Compiling \([^ ]*\) .*/\1/p' | sort -u | tr '\n' ' ')
    case $again in '' | 'muster ' | 'muster muster-client ') ;; *) fail "dependencies compiled again with muster: $again" ;; esac
fi
root=$(value Root | tr -d '"')
program=$root/usr/local/bin/muster

step 'image metadata'
[ "$(value User)" = '"65532:65532"' ] || fail 'unexpected user'
[ "$(value Entrypoint)" = '["/usr/local/bin/muster"]' ] || fail 'unexpected entrypoint'
[ "$(value Cmd)" = '["serve"]' ] || fail 'unexpected command'
[ "$(value Healthcheck)" = '["/usr/local/bin/muster", "healthcheck"]' ] || fail 'unexpected health check'
[ "$(find "$root" -type f)" = "$program" ] || fail 'the image contains other files than the binary'
size=$(stat -c %s "$program")
[ "$size" -le $((limit_mib * 1000 * 1000)) ] || fail "the binary has $size bytes, more than $limit_mib MB"
if readelf -l "$program" | grep -q 'INTERP'; then fail 'the binary is not static'; fi
step "static binary, $((size / 1000000)) MB"

work=$(TMPDIR=/tmp mktemp -d)
chmod 755 "$work"
server='' postgres=''
clean() {
    [ -z "$server" ] || { kill "$server" 2>/dev/null; wait "$server" || true; } 2>/dev/null
    [ -z "$postgres" ] || "${as[@]}" "$postgres/pg_ctl" -D "$work/db/data" -m immediate stop >/dev/null
    rm -rf "$work"
}
trap clean EXIT
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

step 'PostgreSQL, with the password from deploy/compose/secrets.sh'
mkdir "$work/secrets" "$work/db"
as=()
if [ "$(id -u)" -eq 0 ]; then as=(setpriv --reuid=postgres --regid="$(id -g postgres)" --clear-groups); fi
database_port=$(port)
POSTGRES_UID=$([ "$(id -u)" -ne 0 ] || id -u postgres) POSTGRES_HOST=localhost:$database_port \
    deploy/compose/secrets.sh "$work/secrets"
before=$(cat "$work/secrets"/*)
deploy/compose/secrets.sh "$work/secrets"
[ "$before" = "$(cat "$work/secrets"/*)" ] || fail 'the second run changed the secrets'
[ "$(stat -c %a "$work/secrets"/* | sort -u)" = 400 ] || fail 'other users can read the secrets'
postgres=$(dirname "$(readlink -f "$(command -v initdb || find /usr/lib/postgresql -name initdb | sort -V | tail -n 1)")")
if [ "$(id -u)" -eq 0 ]; then chown postgres "$work/db"; fi
"${as[@]}" "$postgres/initdb" -D "$work/db/data" -U muster -A scram-sha-256 --pwfile="$work/secrets/postgres_password" \
    --encoding=UTF8 --no-locale >/dev/null
"${as[@]}" "$postgres/pg_ctl" -D "$work/db/data" -l "$work/db/log" -w start \
    -o "-k $work/db -p $database_port -c listen_addresses=127.0.0.1 -c fsync=off" >/dev/null
PGPASSWORD=$(cat "$work/secrets/postgres_password") "$postgres/psql" -q -h 127.0.0.1 -p "$database_port" -U muster -d postgres \
    -c 'create database muster'

step 'the binary in a read-only root, as user 65532'
http_port=$(port)
mkdir -p "$work/root"
cp -R "$root/." "$work/root/"
# The files of distroless static that muster reads.
mkdir -p "$work/root/etc" "$work/root/tmp" "$work/root/run/muster"
printf '127.0.0.1 localhost\n' >"$work/root/etc/hosts"
printf 'nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >"$work/root/etc/passwd"
cp -p "$work/secrets"/* "$work/root/run/muster/"
secrets=/run/muster inside=()
if [ "$(id -u)" -eq 0 ]; then
    # Every container engine provides /proc and some devices.
    mkdir -p "$work/root/proc" "$work/root/dev"
    touch "$work/root/dev/null" "$work/root/dev/urandom" "$work/root/dev/random"
    # shellcheck disable=SC2016 # for the inner shell
    inside=(unshare --mount sh -c 'set -e
        mount --bind "$1" "$1"
        for device in null random urandom; do mount --bind "/dev/$device" "$1/dev/$device"; done
        mount -t proc proc "$1/proc"
        mount -o remount,bind,ro "$1"
        exec setpriv --no-new-privs chroot --userspec=65532:65532 --groups= "$@"' sh "$work/root")
    program=$(value Entrypoint | tr -d '[]"')
else
    step '(without root privileges: in the root of this machine, as this user)'
    secrets=$work/secrets
fi
environment=(
    "MUSTER_SERVER__LISTEN=0.0.0.0:$http_port"
    MUSTER_LOG__FORMAT=json
    "MUSTER_DATABASE__URL_FILE=$secrets/database_url"
    "MUSTER_SECRETS__SERVER_KEY_FILE=$secrets/fingerprint_key"
    "PATH=$PATH"
)
in_image() { env -i "${environment[@]}" "${inside[@]}" "$program" "$@"; }

# Without root privileges it might find a PostgreSQL on this machine.
if [ "$(id -u)" -eq 0 ]; then
    status=0
    env -i "PATH=$PATH" "${inside[@]}" "$program" serve 2>"$work/output" || status=$?
    if [ "$status" != 2 ] || ! grep -q 'address of a running server with `--database-url`' "$work/output"; then
        cat "$work/output" >&2
        fail 'the error does not say how to set a database'
    fi
fi
if in_image healthcheck 2>/dev/null; then fail 'healthy before the start'; fi
env -i "${environment[@]}" "${inside[@]}" "$program" serve >"$work/announced" 2>"$work/log" &
server=$!
for _ in $(seq 300); do
    if in_image healthcheck >/dev/null 2>&1; then break; fi
    kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; fail 'the server exited'; }
    sleep 0.1
done
[ "$(in_image healthcheck)" = 'alive' ] || fail 'not healthy after 30 s'
grep -q '^owner key: amk_' "$work/announced" || fail 'the first start printed no owner key'

step 'an API key and a batch'
key=$(in_image key create --name me --role owner 2>"$work/output" | sed -n 's/^.*\(amk_[^ ]*\).*$/\1/p' | head -n 1)
environment+=("MUSTER_HOST=http://localhost:$http_port" "MUSTER_TOKEN=$key")
printf '[{"name": "Ada", "email": "ada@example.com", "password": "correct horse battery staple", "is_sso_user": false}]' \
    | in_image user batch-create --format json -f - 2>"$work/output" || { cat "$work/output" >&2; fail 'the batch was rejected'; }
[ "$(in_image user list -o csv | wc -l)" = 3 ] || fail 'the created user is not listed'
if [ "$(id -u)" -eq 0 ]; then
    [ "$(awk '/^Uid:/ { print $2 }' "/proc/$server/status")" = 65532 ] || fail 'the process runs as another user'
    [ "$(awk '/^CapEff:/ { print $2 }' "/proc/$server/status")" = 0000000000000000 ] || fail 'the process has capabilities'
fi

step 'shutdown on SIGTERM'
kill -TERM "$server"
status=0; wait "$server" || status=$?
server=''
[ "$status" = 0 ] || fail "the server exited with status $status"
if in_image healthcheck 2>/dev/null; then fail 'healthy after the shutdown'; fi
step 'all checks passed'
