#!/usr/bin/env bash
# Runs the vendor's CLI and SDK, installed from PyPI into virtual environments under target/, against a temporary server:
# everything with the version in requirements.txt, and with earlier versions the parts in which they differ.
#
#   tests/compat/run.sh [path to the muster binary]
#   PARTS="groups policies" tests/compat/run.sh     runs only these parts of people.py
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/support/lib.sh
. tests/support/lib.sh
# However many cores there are, hashing a list takes long enough to be interrupted.
export MUSTER_PASSWORDS__THREADS=2
start_server "${1:-${CARGO_TARGET_DIR:-target}/debug/muster}"
export EXTRA=1 PYTHON
status=0
make_venv compat tests/compat
PYTHON=$venv/bin/python
if [ -z "${PARTS:-}" ]; then bash tests/compat/vendor-client.sh || status=1; fi
# shellcheck disable=SC2086 # PARTS is a list of words; empty runs all
"$PYTHON" tests/compat/people.py ${PARTS:-} || status=1
if [ -n "${PARTS:-}" ]; then exit "$status"; fi
for version in 0.24.88 0.26.54; do
    make_venv "compat-$version" tests/compat "requirements-$version.txt"
    "$venv/bin/python" tests/compat/earlier.py || status=1
done
exit "$status"
