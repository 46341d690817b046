#!/usr/bin/env bash
# Fuzzes a temporary server with schemathesis (from PyPI, in a virtual environment under target/): valid and invalid
# requests, generated from the server's OpenAPI description.
#
#   tests/schemathesis/run.sh [seconds, default 300] [path to the muster binary] [more arguments of `st run`]
#
# Fails on a 5xx, an undocumented status or header, a body that does not match its schema, and a route that works without an
# API key.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-300}
muster=${2:-${CARGO_TARGET_DIR:-target}/debug/muster}
root=$PWD

# shellcheck source=tests/support/lib.sh
. tests/support/lib.sh
make_venv schemathesis tests/schemathesis
export MUSTER_LOG__FORMAT=json
start_server "$muster"
# A key without a user: a user's key would be lost if the fuzzer deletes the user or rotates the key.
TOKEN=$("$muster" key create --name schemathesis --role owner --data-dir "$data/data" 2>>"$data/log")
KEY_ID=key_${TOKEN:30:26}
export KEY_ID
export SCHEMATHESIS_HOOKS=hooks PYTHONPATH=$root/tests/schemathesis PYTHONDONTWRITEBYTECODE=1

status=0
# st writes into the current directory.
(cd "$data" && "$venv/bin/st" --config-file "$root/tests/schemathesis/schemathesis.toml" run "$HOST/openapi.json" \
    --max-time "$seconds" "${@:3}") || status=1
if [ "$status" -ne 0 ]; then
    echo "errors and warnings in the server's log:" >&2
    grep -E '"(ERROR|WARN)"' "$data/log" | tail -n 20 >&2 || true
fi
# If the fuzzer had revoked its own key, all later responses would be 401, which is documented.
"$venv/bin/python" - <<'END' || { echo "error: the fuzzer's API key became invalid during the run, so later requests tested nothing" >&2; status=1; }
import os, urllib.request
request = urllib.request.Request(os.environ["HOST"] + "/api/v2/userinfo/")
request.add_header("Authorization", "Bearer " + os.environ["TOKEN"])
urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request)
END
exit "$status"
