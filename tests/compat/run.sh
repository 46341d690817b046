#!/usr/bin/env bash
# Runs the vendor's CLI and SDK, installed from PyPI into a virtual environment under target/, against a temporary server.
#
#   tests/compat/run.sh [path to the muster binary]
#   PARTS="groups policies" tests/compat/run.sh     runs only these parts of people.py
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/support/lib.sh
. tests/support/lib.sh
make_venv compat tests/compat
start_server "${1:-${CARGO_TARGET_DIR:-target}/debug/muster}"
export EXTRA=1 PYTHON="$venv/bin/python"
status=0
bash tests/compat/vendor-client.sh || status=1
# shellcheck disable=SC2086 # PARTS is a list of words; empty runs all
"$PYTHON" tests/compat/people.py ${PARTS:-} || status=1
exit "$status"
