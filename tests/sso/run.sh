#!/usr/bin/env bash
# Signs in through real identity providers, installed from npm and PyPI into target/, against a temporary server.
#
#   tests/sso/run.sh [path to the muster binary]
#   PROVIDERS="django" tests/sso/run.sh     runs only these: claims, userinfo, django, canaille
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/support/lib.sh
. tests/support/lib.sh
muster=${1:-${CARGO_TARGET_DIR:-target}/debug/muster}
providers=${PROVIDERS:-claims userinfo django canaille}
has() { [[ " $providers " == *" $1 "* ]]; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

node=$PWD/target/sso-node
if (has claims || has userinfo) && ! cmp -s tests/sso/package.json "$node/package.json"; then
    rm -rf "$node"
    mkdir -p "$node"
    mapfile -t packages < <(sed -n 's/^ *"\([a-z-]*\)": "\([0-9.]*\)",*$/\1@\2/p' tests/sso/package.json)
    npm install --prefix "$node" --no-package-lock --no-save --no-audit --no-fund --loglevel=error "${packages[@]}" >/dev/null
    cp tests/sso/package.json "$node/package.json"
fi
if has django; then make_venv sso tests/sso; django=$venv; fi
if has canaille; then make_venv sso-canaille tests/sso requirements-canaille.txt; canaille=$venv; fi

LISTEN=127.0.0.1:$(free_port)
export MUSTER_SERVER__PUBLIC_URL=http://$LISTEN
start_server "$muster"
pids=()
# shellcheck disable=SC2154 # start_server sets them
trap '[ $? = 0 ] || tail -n 20 "$data"/log "$data"/*.log >&2; kill "${pids[@]}" "$server" 2>/dev/null; wait "$server" || true; rm -rf "$data"' EXIT
export CLIENT_SECRET='s3cret:of/the client+100%'
printf '%s\n' "$CLIENT_SECRET" >"$data/secret"

# provider NAME COMMAND…: starts a provider, which prints its issuer, and adds it to muster.
provider() {
    local name=$1
    shift
    export REDIRECT_URI=$HOST/sso/default/$name/callback POST_LOGOUT_REDIRECT_URI=$HOST/sign-in
    "$@" >"$data/$name.issuer" 2>"$data/$name.log" &
    pids+=($!)
    for _ in $(seq 600); do
        if issuer=$(grep -m 1 '^http' "$data/$name.issuer") && curl -so /dev/null "$issuer"; then break; fi
        kill -0 "${pids[-1]}" 2>/dev/null || { cat "$data/$name.log" >&2; exit 1; }
        sleep 0.1
    done
    "$muster" sso provider add "$name" --data-dir "$data/data" --issuer "$issuer" --client-id muster \
        --client-secret-file "$data/secret" --domain example.com --logout true "${options[@]}" >/dev/null
}

# sign_in NAME USER PASSWORD EMAIL [--logout]: twice, since the second sign-in finds the identity by its subject.
sign_in() {
    curl -sf -o /dev/null -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
        -d "[{\"name\": \"Someone\", \"email\": \"$4\", \"is_sso_user\": true}]" "$HOST/api/v2/users/admin_batch_create"
    python3 tests/sso/sign_in.py "$HOST" "$1" "$2" "$3" "$4"
    # canaille's access tokens have no random part, and it stores no two equal ones: none of the same second.
    sleep 1
    python3 tests/sso/sign_in.py "$HOST" "$@"
}

options=()
for name in claims userinfo; do
    if has "$name"; then
        cp tests/sso/oidc_provider.mjs "$node/"
        CONFORM=$([ "$name" = userinfo ] && echo 1 || echo 0)
        export CONFORM
        provider "$name" node "$node/oidc_provider.mjs" "$(free_port)"
        sign_in "$name" "$name@example.com" any "$name@example.com" --logout
    fi
done
if has django; then
    export DATABASE=$data/django.sqlite3
    provider django "$django/bin/python" tests/sso/django_provider.py "$(free_port)"
    sign_in django cyd 'correct horse battery' cyd@example.com
fi
if has canaille; then
    # shellcheck source=tests/sso/canaille.sh
    . tests/sso/canaille.sh
fi
