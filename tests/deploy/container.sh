#!/usr/bin/env bash
# The image, as far as it goes without a container engine: the Dockerfile's steps are replayed in target/container, and
# what comes out is run as an engine would run it: in a root of its own that can not be written and has nothing but
# the program and what distroless brings, as an ordinary user, on the secrets that compose.yaml makes.
#
#   tests/deploy/container.sh
#   REPLAY=no tests/deploy/container.sh     with what the last replay left
#
# Who may not change the root (who is not root) runs it in this machine's root.
set -euo pipefail
cd "$(dirname "$0")/../.."
limit_mib=38 # The image has 40 MB; distroless static takes 2.
image=$PWD/target/container
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
step() { printf '   %s\n' "$1"; }
fail() { printf 'error: %s\n' "$1" >&2; exit 1; }
value() { python3 -c 'import json, sys; print(json.dumps(json.load(open(sys.argv[1]))[sys.argv[2]]))' "$image/image.json" "$1"; }

if [ "${REPLAY:-yes}" = yes ]; then
    mkdir -p target
    scripts/dockerfile-replay.py "$image" 2>&1 | tee target/container.log
    # Else the layer of the dependencies would not be worth its place.
    again=$(sed '1,/RUN touch/d' target/container.log | sed -n 's/^ *Compiling \([^ ]*\) .*/\1/p' | sort -u | tr '\n' ' ')
    case $again in '' | 'muster ' | 'muster muster-client ') ;; *) fail "compiled again with muster: $again" ;; esac
fi
root=$(value Root | tr -d '"')
program=$root/usr/local/bin/muster

step 'what the image says'
[ "$(value User)" = '"65532:65532"' ] || fail 'it does not run as nobody'
[ "$(value Entrypoint)" = '["/usr/local/bin/muster"]' ] || fail 'its entrypoint is another'
[ "$(value Cmd)" = '["serve"]' ] || fail 'its command is another'
[ "$(value Healthcheck)" = '["/usr/local/bin/muster", "healthcheck"]' ] || fail 'its health check is another'
[ "$(find "$root" -type f)" = "$program" ] || fail 'there is more in it than the program'
size=$(stat -c %s "$program")
[ "$size" -le $((limit_mib * 1000 * 1000)) ] || fail "the program has $size bytes: more than $limit_mib MB"
if readelf -l "$program" | grep -q 'INTERP'; then fail 'the program is not static'; fi
step "it is static and has $((size / 1000000)) MB"

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

step 'PostgreSQL, with the password that compose.yaml makes'
mkdir "$work/secrets" "$work/db"
as=()
if [ "$(id -u)" -eq 0 ]; then as=(setpriv --reuid=postgres --regid="$(id -g postgres)" --clear-groups); fi
database_port=$(port)
POSTGRES_UID=$([ "$(id -u)" -ne 0 ] || id -u postgres) POSTGRES_HOST=localhost:$database_port \
    deploy/compose/secrets.sh "$work/secrets"
before=$(cat "$work/secrets"/*)
deploy/compose/secrets.sh "$work/secrets"
[ "$before" = "$(cat "$work/secrets"/*)" ] || fail 'the secrets are other ones the second time'
[ "$(stat -c %a "$work/secrets"/* | sort -u)" = 400 ] || fail 'the secrets can be read by others'
postgres=$(dirname "$(readlink -f "$(command -v initdb || find /usr/lib/postgresql -name initdb | sort -V | tail -n 1)")")
if [ "$(id -u)" -eq 0 ]; then chown postgres "$work/db"; fi
"${as[@]}" "$postgres/initdb" -D "$work/db/data" -U muster -A scram-sha-256 --pwfile="$work/secrets/postgres_password" \
    --encoding=UTF8 --no-locale >/dev/null
"${as[@]}" "$postgres/pg_ctl" -D "$work/db/data" -l "$work/db/log" -w start \
    -o "-k $work/db -p $database_port -c listen_addresses=127.0.0.1 -c fsync=off" >/dev/null
PGPASSWORD=$(cat "$work/secrets/postgres_password") "$postgres/psql" -q -h 127.0.0.1 -p "$database_port" -U muster -d postgres \
    -c 'create database muster'

step 'the program, in a root that can not be written, as user 65532'
http_port=$(port)
mkdir -p "$work/root"
cp -R "$root/." "$work/root/"
# What distroless static has of what muster looks at.
mkdir -p "$work/root/etc" "$work/root/tmp" "$work/root/run/muster"
printf '127.0.0.1 localhost\n' >"$work/root/etc/hosts"
printf 'nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >"$work/root/etc/passwd"
cp -p "$work/secrets"/* "$work/root/run/muster/"
secrets=/run/muster inside=()
if [ "$(id -u)" -eq 0 ]; then
    # What an engine brings to every container: /proc, and of /dev a little.
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
    step '(in the root of this machine, as this user: only root may change that)'
    secrets=$work/secrets
fi
environment=(
    "MUSTER_SERVER__LISTEN=0.0.0.0:$http_port"
    MUSTER_LOG__FORMAT=json
    "MUSTER_DATABASE__URL_FILE=$secrets/database_url"
    "MUSTER_SECRETS__FINGERPRINT_KEY_FILE=$secrets/fingerprint_key"
    "PATH=$PATH"
)
in_image() { env -i "${environment[@]}" "${inside[@]}" "$program" "$@"; }

# (Outside of the image it may find a PostgreSQL on this machine.)
if [ "$(id -u)" -eq 0 ]; then
    status=0
    env -i "PATH=$PATH" "${inside[@]}" "$program" serve 2>"$work/said" || status=$?
    if [ "$status" != 2 ] || ! grep -q 'give the address of a running server' "$work/said"; then
        cat "$work/said" >&2
        fail 'it does not ask for a database'
    fi
fi
if in_image healthcheck 2>/dev/null; then fail 'it is healthy before it was started'; fi
env -i "${environment[@]}" "${inside[@]}" "$program" serve >"$work/announced" 2>"$work/log" &
server=$!
for _ in $(seq 300); do
    if in_image healthcheck >/dev/null 2>&1; then break; fi
    kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; fail 'it ended'; }
    sleep 0.1
done
[ "$(in_image healthcheck)" = 'it lives' ] || fail 'it does not get healthy'
grep -q '^owner key: amk_' "$work/announced" || fail 'the first start shows no key'

step 'a key, and a batch with it'
key=$(in_image key create --name me --role owner 2>"$work/said" | sed -n 's/^.*\(amk_[^ ]*\).*$/\1/p' | head -n 1)
environment+=("MUSTER_HOST=http://localhost:$http_port" "MUSTER_TOKEN=$key")
printf '[{"name": "Ada", "email": "ada@example.com", "password": "correct horse battery staple", "is_sso_user": false}]' \
    | in_image user batch-create --format json -f - 2>"$work/said" || { cat "$work/said" >&2; fail 'a batch is refused'; }
[ "$(in_image user list -o csv | wc -l)" = 3 ] || fail 'the user is not there, beside the owner'
if [ "$(id -u)" -eq 0 ]; then
    [ "$(awk '/^Uid:/ { print $2 }' "/proc/$server/status")" = 65532 ] || fail 'it runs as another user'
    [ "$(awk '/^CapEff:/ { print $2 }' "/proc/$server/status")" = 0000000000000000 ] || fail 'it has capabilities'
fi

step 'it ends when it is told to'
kill -TERM "$server"
status=0; wait "$server" || status=$?
server=''
[ "$status" = 0 ] || fail "it ends with status $status"
if in_image healthcheck 2>/dev/null; then fail 'it is healthy after its end'; fi
step 'the image is fine'
