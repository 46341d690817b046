#!/usr/bin/env bash
# Runs the vendor's own client against the built server: the real CLI and SDK, from PyPI, in a
# virtual environment under target/. Starts a server with nothing and throws it away.
#
#   tests/compat/run.sh [path to the muster binary]
#   PARTS="groups policies" tests/compat/run.sh     only these parts of people.py
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
muster=${1:-$target/debug/muster}
venv=$PWD/target/compat-venv

if ! "$venv/bin/python" -c 'import anyscale' 2>/dev/null || ! cmp -s tests/compat/requirements.txt "$venv/requirements.txt"; then
    rm -rf "$venv"
    mkdir -p target
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/compat/requirements.txt
    cp tests/compat/requirements.txt "$venv/"
fi

# Under /tmp and open to others: as root, PostgreSQL runs as somebody else, who has to get there.
data=$(mktemp -d /tmp/muster-compat-XXXXXX)
chmod 755 "$data"
"$muster" serve --data-dir "$data/data" --listen 127.0.0.1:0 >"$data/announced" 2>"$data/log" &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" || true; rm -rf "$data"' EXIT
for _ in $(seq 300); do
    grep -q '^listening on ' "$data/announced" && break
    kill -0 "$server" 2>/dev/null || { cat "$data/log" >&2; exit 1; }
    sleep 0.1
done

HOST=$(sed -n 's/^listening on \([^ ]*\) .*/\1/p' "$data/announced")
TOKEN=$(sed -n 's/^owner key: //p' "$data/announced")
export HOST TOKEN EXTRA=1 PYTHON="$venv/bin/python"
status=0
bash tests/compat/vendor-client.sh || status=1
# shellcheck disable=SC2086 # PARTS are words; without any, all parts run
"$PYTHON" tests/compat/people.py ${PARTS:-} || status=1
exit "$status"
