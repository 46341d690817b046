#!/usr/bin/env bash
# Regenerates .sqlx/; --check only compares. Uses the database of DATABASE_URL, or starts a temporary PostgreSQL.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.9.0
if ! target/tools/bin/sqlx --version 2>/dev/null | grep -qF "$version"; then
    cargo install sqlx-cli --version "=$version" --no-default-features --features postgres --root target/tools --quiet
fi
PATH="$PWD/target/tools/bin:$PATH"

if [ -z "${DATABASE_URL:-}" ]; then
    folder=$(dirname "$(readlink -f "$(command -v initdb || ls -d /usr/lib/postgresql/*/bin/initdb | tail -n 1)")")
    data=$(mktemp -d /tmp/muster-sqlx-XXXXXX)
    as=()
    if [ "$(id -u)" -eq 0 ]; then
        chown postgres "$data"
        as=(setpriv --reuid=postgres --regid="$(id -g postgres)" --clear-groups)
    fi
    "${as[@]}" "$folder/initdb" -D "$data/db" -U muster -A trust -E UTF8 --no-locale >/dev/null
    "${as[@]}" "$folder/pg_ctl" -D "$data/db" -l "$data/log" -w -o "-k $data -c listen_addresses= -c fsync=off" start >/dev/null
    trap '"${as[@]}" "$folder/pg_ctl" -D "$data/db" -m immediate stop >/dev/null; rm -rf "$data"' EXIT
    export DATABASE_URL="postgres://muster@${data//\//%2F}/muster"
fi
sqlx database create
sqlx migrate run >/dev/null
cargo sqlx prepare "$@" -- --lib --locked
