#!/usr/bin/env bash
# Runs schemathesis, from PyPI, in a virtual environment under target/, against the built server: requests made up from
# its own OpenAPI, right ones and wrong ones. Starts a server with nothing and throws it away.
#
#   tests/schemathesis/run.sh [seconds, 300 if not said] [path to the muster binary] [more for `st run`]
#
# It fails for a 5xx, a status or a header that is not documented, a body that is not as documented, and a route that
# answers somebody without a key.
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
# A key that acts for itself: that of a user goes with the user, or gets another secret.
TOKEN=$("$muster" key create --name schemathesis --role owner --data-dir "$data/data" 2>>"$data/log")
KEY_ID=key_${TOKEN:30:26}
export KEY_ID
export SCHEMATHESIS_HOOKS=hooks PYTHONPATH=$root/tests/schemathesis PYTHONDONTWRITEBYTECODE=1

status=0
# It writes where it is.
(cd "$data" && "$venv/bin/st" --config-file "$root/tests/schemathesis/schemathesis.toml" run "$HOST/openapi.json" \
    --max-time "$seconds" "${@:3}") || status=1
if [ "$status" -ne 0 ]; then
    echo "the server's log of what failed inside it:" >&2
    grep -E '"(ERROR|WARN)"' "$data/log" | tail -n 20 >&2 || true
fi
# Had it revoked its own key, all answers after that would have been 401, and all of them documented.
"$venv/bin/python" - <<'END' || { echo "the key that it asked with opens nothing any more: it tested little" >&2; status=1; }
import os, urllib.request
request = urllib.request.Request(os.environ["HOST"] + "/api/v2/userinfo/")
request.add_header("Authorization", "Bearer " + os.environ["TOKEN"])
urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request)
END
exit "$status"
